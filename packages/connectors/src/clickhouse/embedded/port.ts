import { createServer } from "node:net";
import { TopologyError } from "@iot-topology/core";

/**
 * A port of 127.0.0.1 that is free now: the given one, or any for 0.
 *
 * @throws TopologyError PORT_IN_USE where the given one is taken or not allowed.
 */
export function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (cause) => {
      reject(new TopologyError("PORT_IN_USE", `port ${port} cannot be listened on`, { place: `127.0.0.1:${port}`, cure: "choose another port, or 0 for any free one", cause }));
    });
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
      const address = server.address();
      const chosen = typeof address === "object" && address !== null ? address.port : port;
      server.close(() => resolve(chosen));
    });
  });
}
