/** A real ClickHouse server as a child process, from the `chdb` package's engine. Nothing to install, loopback only. */
export { type EmbeddedClickHouse, type EmbeddedClickHouseOptions, type ExitInfo, startEmbeddedClickHouse } from "./start.ts";
export { engineLibraryPath } from "./library.ts";
export { type SupervisedClickHouse, type SupervisedClickHouseOptions, superviseEmbeddedClickHouse } from "./supervise.ts";
