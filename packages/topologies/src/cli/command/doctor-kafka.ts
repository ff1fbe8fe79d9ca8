import { isLoopback } from "../config/parse.ts";
import type { Config } from "../config/keys.ts";
import { silentLogger } from "@iot-topology/core";
import { groupLag, groupOf } from "../run/group.ts";
import { LOOK, openKafka } from "../run/kafka.ts";
import { surveyTopics } from "../run/topics.ts";
import { loadTopology } from "../topology-file.ts";
import type { Finding } from "./doctor.ts";

const OLD_TRANSACTION_MS = 60_000;

/** Connects to the brokers and looks at the topics, the group and open transactions of the configured topology. */
export async function checkKafka(config: Config, cwd: string, report: (finding: Finding) => void): Promise<void> {
  const brokers = config["kafka.brokers"] ?? [];
  const log = await openKafka(config, silentLogger, LOOK);
  try {
    const isPlain = !config["kafka.tls.enabled"] && brokers.some((address) => !isLoopback(address.slice(0, address.lastIndexOf(":"))));
    report({ check: "kafka", level: isPlain ? "warn" : "ok", message: `${brokers.join(", ")} ${brokers.length === 1 ? "answers" : "answer"} through ${log.client}${isPlain ? ", unencrypted" : ""}`, ...(isPlain ? { cure: "set kafka.tls.enabled, unless the network is yours alone" } : {}) });
    const { plan } = await loadTopology(config.topology, { folder: cwd });
    for (const { problem } of await surveyTopics(plan, log, config)) {
      if (problem === undefined) continue;
      const isToCome = problem.code === "TOPIC_NOT_FOUND" && config["kafka.createTopics"];
      report({ check: "topics", level: isToCome ? "ok" : "fail", message: `${problem.code}: ${problem.message}${isToCome ? " yet; the start creates it" : ""}`, ...(isToCome ? {} : { cure: problem.cure }) });
    }
    const [{ state, members }, lags] = [await log.describeGroup(groupOf(plan)), await groupLag(log, plan)];
    report({ check: "group", level: "ok", message: `${groupOf(plan)}: ${state}, ${members.length} ${members.length === 1 ? "member" : "members"}, lag ${lags.reduce((sum, { lag }) => sum + lag, 0)}` });
    for (const { transactionalId, startedAt, partitions } of await log.openTransactions(Date.now() - OLD_TRANSACTION_MS)) {
      report({ check: "transaction", level: "warn", message: `${transactionalId} is open since ${new Date(startedAt).toISOString()} on ${partitions.map(({ topic, partition }) => `${topic}-${partition}`).join(", ")}`, cure: "end the process that left it open; the coordinator aborts it after its timeout" });
    }
  } finally {
    await log.close();
  }
}
