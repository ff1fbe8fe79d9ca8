import t from "tap";
import { clusterLogContract, memoryCluster } from "../../src/testing.ts";

const cluster = memoryCluster({ seed: 3 });
t.teardown(() => cluster.close());
t.setTimeout(120_000);

clusterLogContract((name, body) => t.test(name, body), async () => cluster.connect(), {
  abandon: async (log, producer, transaction) => {
    cluster.failNext(log, "end", "before");
    await t.rejects(producer.commit(transaction), { code: "KAFKA_TIMEOUT" });
  },
});
