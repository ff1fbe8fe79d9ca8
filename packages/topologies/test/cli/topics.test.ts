import t from "tap";
import { isLeft } from "fp-ts/lib/Either.js";
import { c, count, defineTopology, type Plan, record, type Topology, validate } from "@iot-topology/core";
import { collect, memoryCluster } from "@iot-topology/core/testing";
import { loadConfig } from "../../src/cli/config/config.ts";
import { groupLag, refuseMembers } from "../../src/cli/run/group.ts";
import { createMissing, inputTopics, partitionsOf, prepareTopics, surveyTopics } from "../../src/cli/run/topics.ts";

const Event = record("Event", { id: c.string(), site: c.string(), seq: c.uint64() });
const plan = (topology: Topology): Plan => {
  const found = validate(topology);
  if (isLeft(found)) throw new Error(JSON.stringify(found.left));
  return found.right;
};
const keyed = plan(defineTopology("keyed", (b) => b.source("events").cast(Event, { partitionedBy: "id" }).merge(b.source("more").cast(Event, { partitionedBy: "id", name: "cast-more" })).dedup("seen", { by: ["id", "seq"] }).sink(collect("out"))));
const bound = plan(defineTopology("bound", (b) => b.source("events").cast(Event).dedup("seen", { by: ["seq"] }).sink(collect("out"))));
const cut = plan(
  defineTopology("cut", (b) =>
    b.source("events").cast(Event, { partitionedBy: "id" }).repartition("by-site", { by: ["site"] }).groupBy("site").aggregate("sites", { n: count() }).sink(collect("sites")),
  ),
);
const config = (flags: Readonly<Record<string, unknown>> = {}) => loadConfig({ environment: {}, folder: "/nowhere", flags: { "kafka.brokers": "k:1", ...flags } }).config;

function cluster(t: { teardown(end: () => void): void }) {
  const made = memoryCluster();
  t.teardown(() => made.close());
  return made.connect();
}

t.test("what is missing is told, all of it, and is created only where that is asked for", async (t) => {
  const log = cluster(t);
  await t.rejects(prepareTopics(keyed, log, config()), { code: "TOPIC_NOT_FOUND", message: /2 topics differ[^]*events does not exist[^]*more does not exist[^]*--create-topics/ });
  t.equal(await log.partitionCount("events"), undefined);
  t.match(await prepareTopics(keyed, log, config({ "kafka.createTopics": true })), [{ topic: "events", partitions: 4 }, { topic: "more", partitions: 4 }]);
  t.same((await surveyTopics(keyed, log, config())).map(({ topic, role, partitions, problem }) => [topic, role, partitions, problem?.code]), [
    ["events", "input", 4, undefined],
    ["more", "input", 4, undefined],
    ["keyed-events__more-changelog", "changelog", 4, undefined],
  ]);
  t.same(await prepareTopics(keyed, log, config({ "kafka.createTopics": true })), [], "a second time there is nothing to do");
});

t.test("a missing topic gets as many partitions as the one that it is read with, and state that cannot be split gets one", async (t) => {
  const log = cluster(t);
  await log.createTopics([{ topic: "events", partitions: 7 }]);
  t.match(await createMissing(await surveyTopics(keyed, log, config()), log, config({ "kafka.replicationFactor": 1 })), [{ topic: "more", partitions: 7, replicationFactor: 1 }]);
  const other = cluster(t);
  t.match(await prepareTopics(bound, other, config({ "kafka.createTopics": true, partitions: 9 })), [{ topic: "events", partitions: 1 }]);
  t.equal(partitionsOf(config({ partitions: 9 })), 9);
  t.equal(partitionsOf(loadConfig({ environment: {}, folder: "/nowhere", flags: {} }).config), 1, "on the embedded log");
});

t.test("each difference has its code and its cure", async (t) => {
  const log = cluster(t);
  await log.createTopics([{ topic: "events", partitions: 3 }, { topic: "more", partitions: 2 }]);
  t.match((await surveyTopics(bound, log, config())).find(({ topic }) => topic === "events")?.problem, { code: "TOPIC_MISMATCH", message: /3 partitions, and seen would keep separate state/, cure: /partitionedBy/ });
  const found = await surveyTopics(keyed, log, config());
  t.match(found.find(({ topic }) => topic === "more")?.problem, { code: "TOPIC_MISMATCH", message: /more has 2 partitions, and another topic that is read with it has 3/ });
  await log.createTopics([{ topic: "keyed-events__more-changelog", partitions: 5, config: { "cleanup.policy": "compact", "retention.ms": "1000", "max.message.bytes": "5000" } }]);
  t.match((await surveyTopics(keyed, log, config())).find(({ role }) => role === "changelog")?.problem, {
    code: "CHANGELOG_MISMATCH",
    message: /5 partitions instead of 3, and cleanup\.policy compact instead of delete, and retention\.ms 1000 instead of -1, and max\.message\.bytes 5000/,
    cure: /cannot be raised/,
  });
});

t.test("topics between parts are the engine's, and no input", async (t) => {
  const log = cluster(t);
  t.same(inputTopics(cut), ["events"]);
  const needed = await surveyTopics(cut, log, config());
  t.same(needed.map(({ topic, role, partitions }) => [topic, role, partitions]), [
    ["events", "input", 4],
    ["cut-events-changelog", "changelog", 4],
    ["cut-by-site-repartition", "repartition", 4],
    ["cut-by-site-changelog", "changelog", 4],
  ]);
  t.same(needed.filter(({ problem }) => problem !== undefined).map(({ topic }) => topic), ["events"], "only what others write can be missing");
});

t.test("lag is told a partition, from the start where nothing is committed", async (t) => {
  const log = cluster(t);
  await log.createTopics([{ topic: "events", partitions: 2 }]);
  await log.append("events", [0, 0, 0, 1].map((partition) => ({ key: null, value: "{}", timestamp: 1, partition })));
  await log.setCommittedOffsets("bound", [{ topic: "events", partition: 0, offset: 2 }]);
  t.same(await groupLag(log, bound), [
    { topic: "events", partition: 0, committed: 2, start: 0, end: 3, lag: 1 },
    { topic: "events", partition: 1, committed: undefined, start: 0, end: 1, lag: 1 },
  ]);
  await refuseMembers(log, "bound");
  const membership = await log.joinGroup({
    group: "bound", topics: ["events"], userData: () => Buffer.alloc(0), onAssigned: async () => {}, onLost: async () => {}, onFailure: () => {},
    assign: async (members) => new Map(members.map(({ memberId }) => [memberId, { partitions: {}, userData: Buffer.alloc(0) }])),
  });
  await t.rejects(refuseMembers(log, "bound"), { code: "CONFIG_INVALID", message: /the topology runs: its group has a member/ });
  await membership.leave();
});
