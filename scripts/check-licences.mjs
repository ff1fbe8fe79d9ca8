// Everything that is installed with the published packages may be used by anyone: only permissive licences, at any depth.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { conclude, root } from "./sources.mjs";

const PERMISSIVE = new Set(["MIT", "MIT-0", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "BlueOak-1.0.0", "Unlicense", "CC0-1.0", "CC-BY-4.0", "Python-2.0", "Zlib"]);

/** Packages whose manifest names no licence, but whose LICENSE file does: by name and version, with how the file begins. */
const BY_FILE = new Map([["@kafkajs/confluent-schema-registry 4.1.0", { licence: "MIT", begins: "MIT License" }]]);

const readManifest = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));

/** `(MIT OR GPL-2.0) AND ISC`: one of an OR, all of an AND. */
function isPermissive(expression) {
  const text = expression.replace(/^\(|\)$/g, "");
  if (/ AND /i.test(text)) return text.split(/ AND /i).every(isPermissive);
  if (/ OR /i.test(text)) return text.split(/ OR /i).some(isPermissive);
  return PERMISSIVE.has(text.trim());
}

function licenceOf(manifest) {
  const found = manifest.license ?? manifest.licenses;
  if (Array.isArray(found)) return found.map((entry) => entry.type ?? entry).join(" OR ");
  return typeof found === "object" && found !== null ? String(found.type) : String(found ?? "none named");
}

/** Where Node would find a dependency from a folder. */
function find(name, from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
    if (folder === root || folder === dirname(folder)) return null;
  }
}

const problems = [];
const seen = new Set();
const queue = readdirSync(join(root, "packages")).map((name) => join(root, "packages", name)).filter((folder) => existsSync(join(folder, "package.json")));
for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
  if (seen.has(folder)) continue;
  seen.add(folder);
  const manifest = readManifest(folder);
  const byFile = BY_FILE.get(`${manifest.name} ${manifest.version}`);
  const isAsFile = byFile !== undefined && readFileSync(join(folder, "LICENSE"), "utf8").startsWith(byFile.begins);
  const licence = isAsFile ? byFile.licence : licenceOf(manifest);
  if (!isPermissive(licence)) problems.push(`${manifest.name} ${manifest.version}: ${licence}`);
  const optional = manifest.optionalDependencies ?? {};
  for (const name of Object.keys({ ...manifest.dependencies, ...optional })) {
    const found = find(name, folder);
    if (found !== null) queue.push(found);
    else if (optional[name] === undefined) problems.push(`${manifest.name}: its dependency ${name} is not installed`);
  }
}
conclude("licences", problems, `${seen.size} packages`);
