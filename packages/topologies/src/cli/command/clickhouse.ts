import { superviseEmbeddedClickHouse } from "@iot-topology/connectors/clickhouse/embedded";
import { TopologyError } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { dataFolder, makeDataFolder, runningInstance } from "../data-folder.ts";
import { jsonLogger, terminalLogger } from "../output/logger.ts";
import { stopRequest } from "../run/stop-signal.ts";

/** Runs a folder's embedded ClickHouse by itself, until it is told to stop. */
export async function clickhouse(context: Context, flags: { readonly port?: string }): Promise<number> {
  const { config } = context.load({ "clickhouse.httpPort": flags.port });
  const folder = dataFolder(config.data);
  const running = runningInstance(folder);
  if (running !== undefined) {
    throw new TopologyError("FOLDER_IN_USE", `the folder's ClickHouse runs already, at ${running.clickhouseUrl}`, { place: folder.root, cure: "use that one, or stop its instance" });
  }
  makeDataFolder(folder);
  const isPlain = context.stdout.isTTY === true && !context.json;
  const logger = isPlain ? terminalLogger("warn", context.style, (line) => context.stderr.write(`${line}\n`)) : jsonLogger(config["log.level"], 1);
  const stop = stopRequest(() => {});
  const server = await superviseEmbeddedClickHouse({ dataDir: folder.clickhouse, httpPort: config["clickhouse.httpPort"], logger, signal: stop.signal }).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  if (server === undefined) return 0;
  const address = { clickhouseUrl: server.url, playUrl: `${server.url}/play`, nativePort: server.tcpPort };
  if (isPlain) context.stdout.write(`ClickHouse  ${server.url}\nbrowser     ${address.playUrl}\nnative      127.0.0.1:${server.tcpPort}\nuse it      iot-topology start ... --clickhouse ${server.url}\n`);
  else logger.info(address, "ready");
  const stopped = new Promise<undefined>((resolve) => (stop.signal.aborted ? resolve(undefined) : stop.signal.addEventListener("abort", () => resolve(undefined), { once: true })));
  const failure = await Promise.race([server.failed, stopped]);
  await server.stop();
  stop.release();
  if (failure !== undefined) throw failure;
  return 0;
}
