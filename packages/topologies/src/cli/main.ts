import { CommanderError } from "commander";
import { TopologyError } from "@iot-topology/core";
import { exitCodeOf, formatFailure, toTopologyError } from "./output/failure.ts";
import { styleOf } from "./output/style.ts";
import { buildProgram } from "./program.ts";

/** Runs the command and sets the process' exit code: 0, 1 for a failure, 2 for wrong use. */
export async function main(argv: readonly string[]): Promise<void> {
  await run(argv);
  // The command has closed what it opened. What a library may have left behind must not hold the process.
  await Promise.all([process.stdout, process.stderr].map((stream) => new Promise<void>((resolve) => stream.write("", () => resolve()))));
  process.exit();
}

async function run(argv: readonly string[]): Promise<void> {
  const json = argv.includes("--json");
  const verbose = argv.includes("--verbose");
  // A reader that has enough closes the pipe; that is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
  });
  let help = "";
  try {
    await buildProgram((code) => (process.exitCode = code), (text) => (help += text)).parseAsync(argv);
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return;
    if (thrown instanceof CommanderError && thrown.code === "commander.help" && !json) process.stderr.write(`${help}\n`);
    const error = thrown instanceof CommanderError ? usageError(thrown) : toTopologyError(thrown);
    process.stderr.write(`${formatFailure(error, { json, verbose, style: styleOf(process.stderr, process.env) })}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

function usageError(error: CommanderError): TopologyError {
  const [message = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
  const hint = suggestion?.replace(/^\(|\)$/g, "");
  const text = error.code === "commander.help" ? "a command is missing" : message;
  return new TopologyError("USAGE", hint === undefined ? text : `${text}; ${hint.charAt(0).toLowerCase()}${hint.slice(1)}`, { cure: "`iot-topology --help` and `iot-topology COMMAND --help` show what there is" });
}
