// Holds package-lock.json complete and free of hosts.
//   node scripts/lockfile.mjs            tells what is wrong
//   node scripts/lockfile.mjs --update   mends it: run it after `npm install`
//
// `npm ci` refuses a lockfile in which an optional dependency of another platform is missing, and npm leaves such entries out when it writes the lockfile
// from an installed tree or when the registry at hand does not offer them. Their versions are exact in the package that wants them, so they can be written from there.
// `resolved` is left out everywhere: it would tie everybody to the registry of whoever wrote the file. `integrity` stays and is what is verified.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { conclude, root } from "./sources.mjs";

const update = process.argv.includes("--update");
const file = join(root, "package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8"));
const problems = [];

const SYSTEMS = ["darwin", "linux", "win32", "freebsd", "android", "openharmony", "aix", "sunos", "openbsd", "netbsd"];
const PROCESSORS = ["x64", "arm64", "ia32", "arm", "ppc64", "riscv64", "s390x", "loong64", "mips64el"];

/** Where npm would look for a dependency of the package at a path of the lockfile: nearest first. */
function candidates(path, name) {
  const found = [];
  for (let at = path; ; at = at.includes("/node_modules/") ? at.slice(0, at.lastIndexOf("/node_modules/")) : "") {
    found.push(`${at === "" ? "" : `${at}/`}node_modules/${name}`);
    if (at === "") return found;
  }
}

/** The platform in a package's name, as in `@x/y-linux-arm64-musl`; null if it names none. */
function platform(name) {
  const words = name.split(/[-/]/);
  const os = SYSTEMS.filter((word) => words.includes(word));
  const cpu = PROCESSORS.filter((word) => words.includes(word));
  if (os.length !== 1 || cpu.length !== 1) return null;
  const libc = os[0] !== "linux" ? [] : words.includes("musl") ? ["musl"] : words.includes("gnu") ? ["glibc"] : [];
  return { os, cpu, ...(libc.length > 0 ? { libc } : {}) };
}

for (const [path, entry] of Object.entries(lock.packages)) {
  if (/^https?:/.test(entry.resolved ?? "")) {
    if (update) delete entry.resolved;
    else problems.push(`${path} names a registry's host`);
  }
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const places = candidates(path, name);
    const present = places.map((place) => lock.packages[place]).find((found) => found !== undefined);
    // A hoisted entry of another version does not serve: this one stands beside the package that wants it.
    if (present !== undefined && (!/^\d/.test(version) || present.version === version)) continue;
    const needs = platform(name);
    if (needs === null || !/^\d/.test(version)) {
      if (present === undefined) problems.push(`${path}: its optional dependency ${name} ${version} is missing`);
      continue;
    }
    if (!update) {
      problems.push(`${path}: ${name} ${version} is missing`);
      continue;
    }
    const place = lock.packages[places[places.length - 1]] === undefined ? places[places.length - 1] : places[0];
    lock.packages[place] = { version, cpu: needs.cpu, ...(entry.dev ? { dev: true } : {}), ...(needs.libc ? { libc: needs.libc } : {}), license: entry.license, optional: true, os: needs.os };
  }
}

if (update && problems.length === 0) {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en")));
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
conclude("lockfile", problems, `${Object.keys(lock.packages).length} entries`);
