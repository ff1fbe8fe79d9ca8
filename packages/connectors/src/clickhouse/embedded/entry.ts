/**
 * The embedded server's process: calls into the engine's library and does not come back until stdin is closed.
 * Run as `node entry.js LIBRARY ARGUMENT...`; the arguments are those of `clickhouse local`.
 * It is a process of its own because the call blocks the thread, and because the engine's exit must not be the caller's.
 */
import { createRequire } from "node:module";
import type * as FfiRs from "ffi-rs";

const require = createRequire(import.meta.url);
const { DataType, load, open } = require("ffi-rs") as typeof FfiRs;

const [library = "", ...rest] = process.argv.slice(2);
const argv = ["clickhouse", ...rest];
open({ library: "engine", path: library });
// The result is a pointer to the last query's output, which is empty: what went wrong is on stderr.
load({
  library: "engine",
  funcName: "chdb_query_cmdline",
  retType: DataType.BigInt,
  paramsType: [DataType.I32, DataType.StringArray],
  paramsValue: [argv.length, argv],
});
process.exit(0);
