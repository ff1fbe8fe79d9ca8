import { request } from "node:http";
import { armFailpoints, silentLogger, TopologyError } from "@iot-topology/core";
import type { IngestResult } from "@iot-topology/connectors/file";
import type { Context } from "../context.ts";
import { dataFolder, type InstanceRecord, runningInstance } from "../data-folder.ts";
import { onRecordedLog } from "../run/cluster.ts";
import { feedFile } from "../run/feed.ts";
import { type FileInput, fileInput } from "../run/input.ts";
import { isKafka } from "../run/kafka.ts";
import { openLog } from "../run/log.ts";
import { stopRequest } from "../run/stop-signal.ts";

/** Flags of `replay`. */
export interface ReplayFlags {
  readonly topic?: string;
  readonly key?: string;
  readonly time?: string;
  readonly again?: boolean;
  readonly kafka?: string;
}

/** Appends a file to Kafka, to the log of the running instance, or to the log of a folder in which nothing runs: exactly once, whichever it is. */
export async function replay(context: Context, file: string, flags: ReplayFlags): Promise<number> {
  const configured = context.load({ "kafka.brokers": flags.kafka }).config;
  const input = fileInput(file, flags, context.folder);
  const folder = dataFolder(configured.data);
  const config = onRecordedLog(configured, folder);
  const failpoints = context.environment["IOT_TOPOLOGY_FAILPOINT"];
  if (failpoints !== undefined) armFailpoints(failpoints);
  const instance = isKafka(config) ? undefined : runningInstance(folder);
  const again = flags.again === true;
  let result: IngestResult;
  if (instance !== undefined) result = await askInstance(instance, input, again);
  else {
    const stop = stopRequest(() => {});
    const opened = await openLog(config, folder, silentLogger);
    try {
      result = await feedFile({ log: opened.log, config, view: { logger: silentLogger, progress() {} }, signal: stop.signal }, input, again);
    } finally {
      await opened.log.close();
      stop.release();
    }
  }
  context.stdout.write(context.json ? `${JSON.stringify({ file: input.path, ...result })}\n` : `${said(result)}\n`);
  return result.finished ? 0 : 1;
}

function said({ status, records, finished }: IngestResult): string {
  if (status === "unchanged") return "nothing to add: the log has this file";
  return `${records} records appended${finished ? "" : "; stopped before the file's end, and the same command goes on from there"}`;
}

/** The instance has the log open, so it reads the file. However long that takes: fetch would give up after five minutes. */
function askInstance({ statusUrl, token }: InstanceRecord, input: FileInput, again: boolean): Promise<IngestResult> {
  return new Promise((resolve, reject) => {
    const failed = (message: string, cause?: unknown) => reject(new TopologyError("NOT_RUNNING", message, { place: statusUrl, cure: "run it again: what was appended is not appended twice", cause }));
    const call = request(`${statusUrl}/replay`, { method: "POST", agent: false, headers: { "content-type": "application/json", authorization: `Bearer ${token}` } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", (cause) => failed("the instance broke off", cause));
      response.on("end", () => {
        const answer = parsed(text) as { error?: { message?: string } } | undefined;
        if (response.statusCode === 200 && answer !== undefined) resolve(answer as IngestResult);
        else failed(`the instance refused the file: ${answer?.error?.message ?? `status ${response.statusCode}`}`);
      });
    });
    call.on("error", (cause) => failed("the instance does not answer", cause));
    call.end(JSON.stringify({ ...input, again }));
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
