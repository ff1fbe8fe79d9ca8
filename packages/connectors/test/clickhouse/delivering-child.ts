/** A process of its own that delivers batch after batch, tells its parent what it delivered, and is stopped and woken up by it. */
import { silentLogger, TopologyError } from "@iot-topology/core";
import { clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import { reading, readings, seal } from "./fixture.ts";

const [url = "", database = ""] = process.argv.slice(2);
const connector = clickhouseConnector({ url, database, embedded: true });
const [sink] = await connector.open({ topology: "test", version: 1, logger: silentLogger }, [readings]);
let isStopping = false;
process.on("message", () => (isStopping = true));
process.on("disconnect", () => process.exit(1));

for (let index = 0, uncertain = false; !isStopping || uncertain; ) {
  const batch = seal(readings, Array.from({ length: 200 }, (_, n) => reading(index * 200 + n)), `child:${index}`);
  try {
    await sink?.deliver(batch, { uncertain });
    uncertain = false;
    index++;
    process.send?.({ delivered: index });
  } catch (error) {
    if (!(error instanceof TopologyError) || !error.retriable) throw error;
    uncertain = true;
    process.send?.({ code: error.code });
  }
}
await connector.close();
process.disconnect();
