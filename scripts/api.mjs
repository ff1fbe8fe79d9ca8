// The public interface as text, one report an entry point under packages/*/api. A change of the interface shows in the report's diff.
//   node scripts/api.mjs            compares (after `npm run build`)
//   node scripts/api.mjs --update   writes the reports: look at the diff and commit it
import { Extractor, ExtractorConfig, ExtractorLogLevel } from "@microsoft/api-extractor";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { conclude, root } from "./sources.mjs";

const update = process.argv.includes("--update");
const problems = [];
let entries = 0;

function report(folder, name, entry, types) {
  const key = entry === "." ? "index" : entry.slice(2).replaceAll("/", "-");
  const where = `packages/${name}/api/${key}.api.md`;
  if (!existsSync(join(folder, types))) {
    problems.push(`${where}: ${types} does not exist (npm run build)`);
    return;
  }
  entries += 1;
  const temp = join(root, "node_modules", ".cache", "api", name);
  mkdirSync(join(folder, "api"), { recursive: true });
  mkdirSync(temp, { recursive: true });
  const config = ExtractorConfig.prepare({
    packageJsonFullPath: join(folder, "package.json"),
    configObjectFullPath: undefined,
    configObject: {
      projectFolder: folder,
      mainEntryPointFilePath: join(folder, types),
      newlineKind: "lf",
      compiler: { overrideTsconfig: { extends: join(root, "tsconfig.base.json"), compilerOptions: { customConditions: [], types: ["node"], skipLibCheck: true }, files: [join(folder, types)] } },
      apiReport: { enabled: true, reportFileName: `${key}.api.md`, reportFolder: join(folder, "api"), reportTempFolder: temp, includeForgottenExports: true },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
        extractorMessageReporting: {
          default: { logLevel: ExtractorLogLevel.Error },
          // Everything that an entry point exports is public; release tags would repeat that.
          "ae-missing-release-tag": { logLevel: ExtractorLogLevel.None },
          // Types that are inferred through need not be importable by name; they stand in the report.
          "ae-forgotten-export": { logLevel: ExtractorLogLevel.None },
          "ae-unresolved-link": { logLevel: ExtractorLogLevel.None },
          "ae-undocumented": { logLevel: ExtractorLogLevel.None },
        },
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
      },
    },
  });
  const messages = [];
  const result = Extractor.invoke(config, {
    localBuild: update,
    showVerboseMessages: false,
    messageCallback(message) {
      if (message.logLevel === "error") messages.push(message.formatMessageWithLocation(root));
      message.handled = true;
    },
  });
  if (result.apiReportChanged && !update) problems.push(`${where}: the public interface has changed: look at it, then \`npm run api\` and commit the report`);
  if (result.apiReportChanged && update) process.stdout.write(`written: ${where}\n`);
  problems.push(...messages.map((text) => `${where}: ${text}`));
}

for (const name of readdirSync(join(root, "packages"))) {
  const folder = join(root, "packages", name);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const wanted = new Set();
  for (const [entry, target] of Object.entries(manifest.exports)) {
    if (typeof target === "string") continue;
    wanted.add(`${entry === "." ? "index" : entry.slice(2).replaceAll("/", "-")}.api.md`);
    report(folder, name, entry, target.types);
  }
  for (const file of existsSync(join(folder, "api")) ? readdirSync(join(folder, "api")) : []) {
    if (wanted.has(file)) continue;
    if (update) rmSync(join(folder, "api", file));
    else problems.push(`packages/${name}/api/${file}: there is no such entry point any more`);
  }
}
conclude("api", problems, `${entries} entry points`);
