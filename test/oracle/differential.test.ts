import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";

/** A few here, so that `npm test` stays short; `.ci/run` runs 100 a family. */
const CASES_A_FAMILY = Number(process.env["ORACLE_CASES"] ?? 10);
const DEADLINE_MS = 600_000;
const program = fileURLToPath(new URL("./differential.ts", import.meta.url));

t.setTimeout(DEADLINE_MS + 10_000);
t.test(`${CASES_A_FAMILY} new cases a family through Kafka Streams and through our engine`, async (t) => {
  const seed = Number(process.env["ORACLE_SEED"] ?? Date.now() % 1_000_000);
  t.comment(`seed ${seed}: npm run differential -- --cases ${CASES_A_FAMILY} --seed ${seed}`);
  const child = spawn(process.execPath, ["--conditions=@iot-topology/source", program, "--cases", String(CASES_A_FAMILY), "--seed", String(seed)], { stdio: ["ignore", "pipe", "pipe"], timeout: DEADLINE_MS });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  // Exit code 3: Java or Maven is missing, and the text says which.
  if (code === 3) {
    t.pass("the differential", { skip: text.trim() });
    return;
  }
  t.match(text, /^total +\d+ passed/m, "it ran to its end");
  t.equal(code, 0, text);
});
