import { isIP } from "node:net";
import type { WireAddress, WireTls } from "../wire.ts";

/** What `tls.connect` needs beside host and port. A name is sent to the server (SNI) only where it is a name. */
export function tlsOptions(address: WireAddress, { ca, ...rest }: WireTls): WireTls & { ca?: string | string[] } {
  return {
    ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
    ...rest,
    ...(ca === undefined ? {} : { ca: typeof ca === "string" ? ca : [...ca] }),
  };
}
