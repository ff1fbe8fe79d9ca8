// What npm would publish is what users can import: publint and "are the types wrong" on each package, and the tarball holds no sources or tests.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { conclude, root } from "./sources.mjs";

const bin = (name) => join(root, "node_modules", ".bin", name);
const problems = [];

function run(command, args, folder) {
  const result = spawnSync(command, args, { cwd: folder, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } });
  return { ok: result.status === 0, text: `${result.stdout}${result.stderr}`.trim() };
}

function check(name) {
  const folder = join(root, "packages", name);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  if (!existsSync(join(folder, "dist"))) {
    problems.push(`packages/${name}: not built (npm run build)`);
    return;
  }
  for (const [entry, target] of Object.entries(manifest.exports)) {
    for (const file of typeof target === "string" ? [target] : [target.types, target.default]) {
      if (!existsSync(join(folder, file))) problems.push(`packages/${name}: the export ${entry} names ${file}, which does not exist`);
    }
  }
  const publint = run(bin("publint"), ["--strict"], folder);
  if (!publint.ok) problems.push(`packages/${name}: publint\n${publint.text}`);

  const temp = mkdtempSync(join(tmpdir(), "iot-topology-pack-"));
  try {
    const packed = JSON.parse(execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", temp], { cwd: folder, encoding: "utf8" }));
    const [tarball] = Array.isArray(packed) ? packed : Object.values(packed);
    const strays = tarball.files.map((file) => file.path).filter((path) => /^(src|test)\/|\.tsbuildinfo$|\.test\.|(^|\/)\.env/.test(path) || (/\.ts$/.test(path) && !/\.d\.ts$/.test(path) && !path.startsWith("templates/")));
    if (strays.length > 0) problems.push(`packages/${name}: the tarball holds ${strays.slice(0, 5).join(", ")}`);
    for (const wanted of ["README.md", "LICENSE"]) if (!tarball.files.some((file) => file.path === wanted)) problems.push(`packages/${name}: the tarball has no ${wanted}`);
    const attw = run(bin("attw"), [join(temp, tarball.filename), "--profile", "esm-only", "--format", "ascii", "--no-emoji"], folder);
    if (!attw.ok) problems.push(`packages/${name}: types\n${attw.text}`);
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

const names = readdirSync(join(root, "packages"));
names.forEach(check);
conclude("packages", problems, names.map((name) => `packages/${name}`).join(", "));
