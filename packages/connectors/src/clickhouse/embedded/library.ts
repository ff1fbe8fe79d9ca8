import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { TopologyError } from "@iot-topology/core";

/** The packages that hold the engine's library, by `process.platform` and `process.arch`. */
const PLATFORM_PACKAGES: Readonly<Record<string, string>> = {
  "darwin-arm64": "@chdb/lib-darwin-arm64",
  "darwin-x64": "@chdb/lib-darwin-x64",
  "linux-arm64": "@chdb/lib-linux-arm64-gnu",
  "linux-x64": "@chdb/lib-linux-x64-gnu",
};
const LIBRARY_NAMES = ["libchdb.so", "libchdb.dylib"];
const CURE = "use a server of your own: --clickhouse http://HOST:8123 (any ClickHouse from 24.8 on)";

/**
 * The path of the engine's library for this platform.
 *
 * @throws TopologyError PLATFORM_UNSUPPORTED where there is no build, or its package was not installed (it is an optional dependency).
 */
export function engineLibraryPath(platform: string = process.platform, arch: string = process.arch): string {
  const place = `${platform}-${arch}`;
  const packageName = PLATFORM_PACKAGES[place];
  if (packageName === undefined) {
    throw new TopologyError("PLATFORM_UNSUPPORTED", "the embedded ClickHouse has no build for this platform", { place, cure: CURE });
  }
  if (platform === "linux" && isMusl()) {
    throw new TopologyError("PLATFORM_UNSUPPORTED", "the embedded ClickHouse needs glibc, and this system has musl", { place, cure: CURE });
  }
  try {
    const here = createRequire(import.meta.url);
    // The platform package is a dependency of chdb's, so it is looked up from there: a strict package manager hides it from us.
    const fromChdb = createRequire(here.resolve("chdb/package.json"));
    const folder = dirname(fromChdb.resolve(`${packageName}/package.json`));
    for (const name of LIBRARY_NAMES) {
      const path = join(folder, name);
      if (existsSync(path)) return path;
    }
  } catch (cause) {
    throw new TopologyError("PLATFORM_UNSUPPORTED", `the package ${packageName} is not installed`, {
      place,
      cure: `install with optional dependencies (npm ci --include=optional), or ${CURE}`,
      cause,
    });
  }
  throw new TopologyError("PLATFORM_UNSUPPORTED", `the package ${packageName} holds no library`, { place, cure: CURE });
}

function isMusl(): boolean {
  const report = process.report?.getReport() as { readonly header?: { readonly glibcVersionRuntime?: string } } | undefined;
  return report?.header !== undefined && report.header.glibcVersionRuntime === undefined;
}
