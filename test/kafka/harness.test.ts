import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { answers } from "./broker.ts";
import { isAlive } from "./distribution.ts";
import { kafkaBrokers } from "./kafka-brokers.ts";

t.setTimeout(120_000);

t.test("the shared broker serves records and groups to Apache's tools", async (t) => {
  const kafka = await kafkaBrokers(t);
  if (kafka?.apache === undefined) return;
  const topic = kafka.name("words");
  await kafka.apache.createTopic(topic, 2);
  await kafka.apache.produce(topic, [["a", "one"], ["b", "two"], ["a", "three"]]);
  const read = await kafka.apache.consume(topic, { count: 3 });
  t.same(read.map(({ key, value }) => `${key}=${value}`).sort(), ["a=one", "a=three", "b=two"]);
  const ends = await kafka.apache.endOffsets(topic);
  t.equal([...ends.values()].reduce((sum, each) => sum + each, 0), 3);
  await t.rejects(kafka.kill(), /shared/, "nobody may end it");
});

t.test("an own broker keeps its data and its port over a kill", async (t) => {
  const kafka = await kafkaBrokers(t, { own: true });
  if (kafka?.apache === undefined) return;
  const topic = kafka.name("kept");
  await kafka.apache.createTopic(topic, 1);
  await kafka.apache.produce(topic, [["k", "before"]]);
  await kafka.kill();
  const port = Number(kafka.brokers[0]?.split(":")[1]);
  t.equal(await answers(port), false, "it is gone");
  await kafka.start();
  await kafka.apache.produce(topic, [["k", "after"]]);
  t.same((await kafka.apache.consume(topic, { count: 2 })).map(({ offset, value }) => [offset, value]), [[0, "before"], [1, "after"]]);
});

t.test("three brokers serve on while one of them is dead", async (t) => {
  const kafka = await kafkaBrokers(t, { count: 3 });
  if (kafka?.apache === undefined) return;
  const topic = kafka.name("thrice");
  await kafka.apache.createTopic(topic, 3);
  await kafka.kill(2);
  await kafka.apache.produce(topic, [["x", "1"], ["y", "2"], ["z", "3"]]);
  t.equal((await kafka.apache.consume(topic, { count: 3 })).length, 3);
  await kafka.start(2);
});

t.test("the proxy loses one reply, after the broker applied the request", async (t) => {
  const kafka = await kafkaBrokers(t, { proxied: true });
  if (kafka?.apache === undefined) return;
  const [proxy] = kafka.proxies;
  if (proxy === undefined) return void t.fail("no proxy");
  const topic = kafka.name("cut");
  await kafka.apache.createTopic(topic, 1);
  proxy.arm({ apiKey: 0, at: "reply" });
  await kafka.apache.produce(topic, [["k", "once"]]);
  t.equal(proxy.fired, 1);
  t.ok(proxy.requests(0) >= 2, "the producer sent again");
  const read = await kafka.apache.consume(topic, { count: 1 });
  t.same(read.map(({ value }) => value), ["once"], "and being idempotent, it did so without a double");
});

t.test("brokers end with the process that started them, even when that is killed", async (t) => {
  const probe = await kafkaBrokers(t);
  if (probe === undefined) return;
  const script = `
    import { startCluster } from ${JSON.stringify(fileURLToPath(new URL("./cluster.ts", import.meta.url)))};
    import { kafkaDistribution } from ${JSON.stringify(fileURLToPath(new URL("./distribution.ts", import.meta.url)))};
    const cluster = await startCluster(await kafkaDistribution());
    console.log(cluster.nodes[0].pid, cluster.dir);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const [pid, dir] = line.toString().trim().split(" ").map((word, index) => (index === 0 ? Number(word) : word)) as [number, string];
  t.ok(isAlive(pid));
  child.kill("SIGKILL");
  for (let waited = 0; isAlive(pid) && waited < 10_000; waited += 50) await sleep(50);
  t.notOk(isAlive(pid), "the broker ended");
  for (let waited = 0; existsSync(dir) && waited < 10_000; waited += 50) await sleep(50);
  t.notOk(existsSync(dir), "and its folder is gone");
});
