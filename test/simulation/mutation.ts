/**
 * `node --import ./mutation.ts ...`: puts a planted bug into the engine's sources as they are loaded. `SIMULATED_MUTANT` names it. Each of its edits must fit exactly one
 * place of its file, so that a mutant that no longer says anything fails instead of passing unseen.
 */
import { registerHooks } from "node:module";
import { mutants } from "./mutants.ts";

const name = process.env["SIMULATED_MUTANT"];
if (name !== undefined) {
  const mutant = mutants.find((other) => other.name === name);
  if (mutant === undefined) throw new Error(`there is no mutant "${name}"`);
  const left = new Set(mutant.edits);
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      const edits = mutant.edits.filter(({ file }) => url.endsWith(`/packages/core/src/${file}`));
      if (edits.length === 0 || loaded.source === undefined || loaded.source === null) return loaded;
      let source = typeof loaded.source === "string" ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString();
      for (const edit of edits) {
        const parts = source.split(edit.from);
        if (parts.length !== 2) throw new Error(`mutant "${name}": ${edit.file} has ${parts.length - 1} places like ${JSON.stringify(edit.from)}, not one`);
        source = parts.join(edit.to);
        left.delete(edit);
      }
      return { ...loaded, source };
    },
  });
  process.on("exit", () => {
    if (left.size > 0) process.stderr.write(`mutant "${name}": ${[...left].map(({ file }) => file).join(", ")} was never loaded\n`);
  });
}
