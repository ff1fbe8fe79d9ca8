/** F2: the connection is cut before the reply, when the server has applied the request, or before the request, when it has not. */
import { apiKeys } from "../../kafka/cutting-proxy.ts";
import { startHttpCutter } from "../http-cutter.ts";
import { onStage, pause, type Stage, until } from "../stage.ts";
import type { Fault } from "./fault.ts";

const IN_COMMIT = ["addPartitionsToTxn", "addOffsetsToTxn", "produce", "txnOffsetCommit", "endTxn"] as const;
const AT_START = ["initProducerId", "joinGroup", "syncGroup"] as const;

interface Shot {
  readonly request: keyof typeof apiKeys;
  readonly at: "reply" | "request";
}

/** Feeds until the next cut has fired. A request at the start comes from a worker that joins. */
async function shoot(stage: Stage, { request, at }: Shot): Promise<void> {
  const [proxy] = stage.environment.kafka.proxies;
  if (proxy === undefined) throw new Error("these brokers have no proxy");
  const before = proxy.fired;
  const isAtStart = (AT_START as readonly string[]).includes(request);
  proxy.arm({ apiKey: apiKeys[request], at, after: isAtStart ? stage.random.below(2) : stage.random.below(5) });
  const joiner = isAtStart ? stage.start() : undefined;
  await until(`the ${at} of ${request} is cut`, async () => {
    if (proxy.fired > before) return true;
    await stage.feed(20);
    await pause(40);
    return proxy.fired > before;
  });
  stage.note(`${request} ${at}`);
  await stage.feed(40);
  if (joiner === undefined) return;
  await joiner.started;
  await pause(500);
  joiner.stop();
  await joiner.ended;
}

export const lostReplyFaults: readonly Fault[] = [
  {
    family: "F2",
    name: "reply-lost",
    what: "connections cut before the reply or before the request of AddPartitionsToTxn, AddOffsetsToTxn, Produce, TxnOffsetCommit, EndTxn, InitProducerId, JoinGroup, SyncGroup",
    kafka: { own: true, proxied: true },
    run: (environment, seed, client) =>
      onStage(environment, { seed, client }, async (stage) => {
        await stage.start().started;
        await stage.feed(100);
        await stage.progress();
        const shots = [...IN_COMMIT, ...AT_START].flatMap((request): Shot[] => [{ request, at: "reply" }, { request, at: "request" }]);
        while (shots.length > 0) await shoot(stage, shots.splice(stage.random.below(shots.length), 1)[0] as Shot);
      }),
  },
  {
    family: "F2",
    name: "clickhouse-reply-lost",
    what: "the reply of an insert into ClickHouse cut after the server had the rows, five times, and once a kill -9 on top",
    async run(environment, seed, client) {
      const cutter = await startHttpCutter(await environment.clickhouse());
      try {
        return await onStage(environment, { seed, client, clickhouse: true, clickhouseUrl: cutter.url }, async (stage) => {
          let worker = stage.start();
          await worker.started;
          for (let cut = 0; cut < 5; cut++) {
            await stage.feed(60);
            cutter.arm();
            await until("the reply of an insert is cut", async () => {
              await stage.feed(15);
              await pause(40);
              return cutter.fired > cut;
            });
            stage.note("insert reply");
            if (cut !== 2) continue;
            worker = await stage.restart(worker);
            await worker.started;
          }
        });
      } finally {
        await cutter.close();
      }
    },
  },
];
