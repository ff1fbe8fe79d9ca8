// Removes what building and testing leave behind. Data folders are never touched.
import { readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
for (const name of readdirSync(join(root, "packages"))) rmSync(join(root, "packages", name, "dist"), { recursive: true, force: true });
for (const name of [".tap", "node_modules/.cache"]) rmSync(join(root, name), { recursive: true, force: true });
