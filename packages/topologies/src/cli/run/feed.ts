import { type Logger, type ProducerRecord } from "@iot-topology/core";
import { ingestFile } from "@iot-topology/connectors/file";
import { FleetGenerator, type GeneratedRecord, type GeneratorPosition } from "../../iot/generate.ts";
import type { Config } from "../config/keys.ts";
import type { FileInput } from "./input.ts";
import type { Session } from "./session.ts";
import type { FileProgress } from "./live-status.ts";

/** What feeds a session's log. */
export interface Feed {
  readonly session: Session;
  readonly config: Config;
  readonly view: { readonly logger: Logger; progress(progress: FileProgress | null): void };
  readonly signal: AbortSignal;
}

const TICK_MS = 100;
/** After a pause (a suspended machine) the fleet does not make up for it. */
const BEHIND_MS_MAX = 1_000;
const PRODUCER = "iot-fleet";
