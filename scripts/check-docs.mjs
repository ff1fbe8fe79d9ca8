// Documentation that can be held to the code is: the error codes and their headings, and every relative link and anchor.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { conclude, root, sources } from "./sources.mjs";

const read = (path) => readFileSync(join(root, path), "utf8");
const problems = [];

/** The codes of the table, read as text: a check must not depend on what it checks being importable. */
function errorCodes() {
  const table = /ERROR_CODES = \{([\s\S]*?)\n\} as const/.exec(read("packages/core/src/model/error.ts"));
  if (table === null) throw new Error("packages/core/src/model/error.ts holds no table ERROR_CODES");
  return [...table[1].matchAll(/^ {2}([A-Z][A-Z0-9_]*):/gm)].map((match) => match[1]);
}

function checkErrors() {
  const codes = errorCodes();
  if (codes.length === 0) problems.push("packages/core/src/model/error.ts: no codes were found");
  if (!existsSync(join(root, "docs/errors.md"))) {
    problems.push("docs/errors.md does not exist");
    return codes.length;
  }
  const headings = [...read("docs/errors.md").matchAll(/^#{2,4} `?([A-Z][A-Z0-9_]+)`?\s*$/gm)].map((match) => match[1]);
  for (const code of codes) if (!headings.includes(code)) problems.push(`docs/errors.md: no heading for ${code}`);
  for (const code of headings) if (!codes.includes(code)) problems.push(`docs/errors.md: ${code} is in no table of codes`);
  for (const code of new Set(headings)) if (headings.filter((other) => other === code).length > 1) problems.push(`docs/errors.md: ${code} has two headings`);
  return codes.length;
}

/** The rules of warnings and their headings. */
function checkWarnings() {
  const table = /WARNING_RULES = \{([\s\S]*?)\n\} as const/.exec(read("packages/core/src/model/warning.ts"));
  if (table === null) throw new Error("packages/core/src/model/warning.ts holds no table WARNING_RULES");
  const rules = [...table[1].matchAll(/^ {2}([A-Z][A-Z0-9_]*):/gm)].map((match) => match[1]);
  const headings = [...read("docs/warnings.md").matchAll(/^### ([A-Z][A-Z0-9_]+)$/gm)].map((match) => match[1]);
  for (const rule of rules) if (!headings.includes(rule)) problems.push(`docs/warnings.md: no heading for ${rule}`);
  for (const rule of headings) if (!rules.includes(rule)) problems.push(`docs/warnings.md: ${rule} is in no table of rules`);
  return rules.length;
}

const withoutCode = (text) => text.replace(/^(```|~~~)[\s\S]*?^\1/gm, "").replace(/`[^`\n]*`/g, "");

/** A heading's anchor as GitHub makes it. */
function anchors(text) {
  const seen = new Map();
  const result = new Set();
  for (const [, title] of text.replace(/^(```|~~~)[\s\S]*?^\1/gm, "").matchAll(/^#{1,6} +(.+?)\s*#*$/gm)) {
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase().replace(/[^\p{L}\p{N}\- _]/gu, "").replace(/ /g, "-");
    const times = seen.get(plain) ?? 0;
    seen.set(plain, times + 1);
    result.add(times === 0 ? plain : `${plain}-${times}`);
  }
  return result;
}

function checkLinks() {
  let count = 0;
  for (const path of sources(/\.md$/)) {
    const text = read(path);
    const links = [...withoutCode(text).matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)|^\[[^\]]+\]: +(\S+)/gm)].map((match) => match[1] ?? match[2]);
    for (const link of links) {
      if (/^[a-z][a-z0-9+.-]*:/i.test(link)) continue; // another site: not looked up, the check works offline
      count += 1;
      const [target, anchor] = link.split("#");
      const file = target === "" ? path : normalize(join(dirname(path), decodeURIComponent(target)));
      if (file.startsWith("..")) problems.push(`${path}: ${link} leads out of the repository`);
      else if (!existsSync(join(root, file))) problems.push(`${path}: ${link} does not exist`);
      else if (anchor && file.endsWith(".md") && !anchors(read(file)).has(anchor)) problems.push(`${path}: ${link} has no such heading`);
    }
  }
  return count;
}

/** `npm run x` in the documentation names a script that exists. */
function checkScripts() {
  const scripts = JSON.parse(read("package.json")).scripts;
  for (const path of sources(/\.md$/)) {
    if (/CHANGELOG/.test(path)) continue;
    for (const [, name] of read(path).matchAll(/npm run ([a-z][\w:-]*)/g)) {
      if (scripts[name] === undefined) problems.push(`${path}: there is no script \`npm run ${name}\``);
    }
  }
}

const codes = checkErrors();
const rules = checkWarnings();
const links = checkLinks();
checkScripts();
conclude("docs", problems, `${codes} error codes, ${rules} warnings, ${links} links`);
