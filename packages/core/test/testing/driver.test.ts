import t from "tap";
import { c, defineTopology, record, topic } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";

const Event = record("Event", { id: c.string(), n: c.uint32() });
const topology = defineTopology("x", (b) => {
  const events = b.source("in").cast(Event);
  events.sink(collect("rows"));
  events.rekey((value) => value.id).sink(topic("out", Event));
});
const event = (id: string, n: number, timestamp = n) => ({ value: { id, n }, timestamp });

t.test("outputs can be read right behind the input, once, and stay for rows", (t) => {
  const driver = testDriver(topology);
  driver.pipe("in", event("a", 1));
  t.same(driver.read("rows"), [{ target: "rows", key: null, value: { id: "a", n: 1 }, timestamp: 1, headers: [], topic: "in", partition: 0, offset: 0, index: 0 }]);
  t.same(driver.read("rows"), []);
  t.match(driver.read("out"), [{ key: "a", value: { id: "a", n: 1 }, timestamp: 1, headers: [] }]);
  driver.pipe("in", event("b", 2), event("c", 3));
  t.same(driver.read().map(({ target, offset }) => `${target} ${offset}`), ["rows 1", "out 1", "rows 2", "out 2"], "all targets in the order in which they got them");
  t.same(driver.values("rows").map((value) => (value as { id: string }).id), ["a", "b", "c"]);
  t.equal(driver.rows("out").length, 3);
  t.end();
});

t.test("a commit is done when it returns, and one may follow the other", (t) => {
  const driver = testDriver(topology);
  for (const n of [1, 2, 3]) {
    driver.pipe("in", event("a", n));
    void driver.commit();
  }
  driver.crash();
  t.equal(driver.rows("rows").length, 3);
  t.equal(driver.counters().written["rows"], 3);
  t.end();
});

t.test("a crash takes back what no commit has covered", (t) => {
  const driver = testDriver(topology);
  driver.pipe("in", event("a", 1), { event: "commit" }, event("b", 2), { event: "crash" }, event("c", 3));
  t.same(driver.rows("rows").map(({ offset }) => offset), [0, 1], "the log goes on where the commit ended");
  t.same(driver.values("rows").map((value) => (value as { id: string }).id), ["a", "c"]);
  t.equal(driver.counters().read, 2);
  t.end();
});

t.test("a sink that is down gets what was committed meanwhile, once, when it is up again", (t) => {
  const driver = testDriver(topology);
  driver.play([
    { topic: "in", ...event("a", 1) },
    { event: "sink-down", target: "rows" },
    { topic: "in", ...event("b", 2) },
    { event: "commit" },
    { topic: "in", ...event("lost", 3) },
    { event: "crash" },
    { topic: "in", ...event("c", 4) },
  ]);
  const ids = () => driver.values("rows").map((value) => (value as { id: string }).id);
  t.same(ids(), ["a"]);
  t.equal(driver.rows("out").length, 3, "others are not touched");
  driver.play([{ event: "sink-up", target: "rows" }]);
  t.same(ids(), ["a", "b", "c"]);
  driver.play([{ event: "commit" }, { event: "crash" }, { event: "sink-up", target: "rows" }]);
  t.same(ids(), ["a", "b", "c"]);
  t.end();
});

t.test("a topic that nobody reads is an error", (t) => {
  t.throws(() => testDriver(topology).pipe("elsewhere", event("a", 1)), /reads no topic "elsewhere"/);
  t.end();
});
