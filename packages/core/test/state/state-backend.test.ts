import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { openLevel } from "@iot-topology/core";
import { stateBackendContract } from "@iot-topology/core/testing";
import type { StateBackend } from "../../src/state/backend.ts";
import { memoryBackend } from "../../src/state/memory-backend.ts";

const root = mkdtempSync(join(tmpdir(), "iot-topology-backend-"));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

stateBackendContract((name, body) => t.test(`LevelDB: ${name}`, body), (name) => openLevel(join(root, name)));
stateBackendContract((name, body) => t.test(`memory: ${name}`, body), () => Promise.resolve(memoryBackend() as StateBackend));
