import t from "tap";
import type { ClusterLog, OpenTransaction } from "@iot-topology/core";
import { resolveOptions } from "../../src/runtime/instance.ts";
import { TransactionWatch } from "../../src/runtime/transaction-watch.ts";

t.test("a transaction that is left open in an input is told of once, shown while it lasts, and others are nobody's business", async (t) => {
  const said: { level: string; fields: object }[] = [];
  const say = (level: string) => (fields: object) => void said.push({ level, fields });
  const asked: number[] = [];
  let open: OpenTransaction[] = [];
  const log = {
    openTransactions(startedBefore: number) {
      asked.push(startedBefore);
      return Promise.resolve(open);
    },
  } as unknown as ClusterLog;
  const clock = { now: () => 100_000, sleep: () => Promise.resolve() };
  const logger = { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
  const options = resolveOptions({ log, connectors: [], stateDir: null, clock, logger, hangingTransactionMs: 30_000 });
  const parts = [{ part: { topics: ["orders"] }, partitionCount: 2, globals: [], changelog: "x" }] as never;
  const watch = new TransactionWatch(log, parts, options);

  open = [{ transactionalId: "other", producerId: 1n, startedAt: 5, partitions: [{ topic: "elsewhere", partition: 0 }] }];
  await watch.look();
  t.same([asked, watch.hanging, said], [[70_000], [], []]);

  open = [...open, { transactionalId: "stuck", producerId: 2n, startedAt: 10_000, partitions: [{ topic: "orders", partition: 1 }, { topic: "elsewhere", partition: 0 }] }];
  await watch.look();
  await watch.look();
  t.same(watch.hanging, [{ transactionalId: "stuck", startedAt: 10_000, partitions: ["orders-1"] }]);
  t.same(said, [{ level: "warn", fields: { code: "TRANSACTION_HANGING", transactionalId: "stuck", startedAt: 10_000, partitions: ["orders-1"], openForMs: 90_000 } }]);

  open = [];
  await watch.look();
  t.same(watch.hanging, []);
  t.match(said[1], { level: "info", fields: { transactionalId: "stuck" } });
});
