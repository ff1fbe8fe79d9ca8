import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { type Action, moment, type Run, whole } from "./action.ts";
import { configHelp } from "./command/config.ts";
import { type CommonFlags, processContext } from "./context.ts";
import { addLog } from "./log-commands.ts";

/** The whole command line. `done` gets each command's exit code, `help` the text that is shown where a command is missing. */
export function buildProgram(done: (code: number) => void, help: (text: string) => void): Command {
  const program = new Command("iot-topology");
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
  program
    .description("Stream processing with exactly-once state, from a durable log into ClickHouse.")
    .version(version)
    .showSuggestionAfterError()
    .exitOverride()
    // Errors are printed by main, in one form for people and one for programs.
    .configureOutput({ outputError: () => {}, writeErr: help })
    .addHelpText("after", EXAMPLES);

  const run: Run =
    (load) =>
    async (...args: unknown[]): Promise<void> => {
      const command = args.at(-1) as Command;
      const flags = command.optsWithGlobals<CommonFlags>();
      const first = command.args[0];
      done(await (await load())(processContext(flags), first, flags as never, command.args));
    };
  addRunning(program, run);
  addLooking(program, run);
  addKeeping(program, run);
  addLog(program, run);
  for (const command of allCommands(program)) withCommonFlags(command);
  return program;
}

function addRunning(program: Command, run: Run): void {
  program
    .command("init")
    .description("make a project with a topology that runs")
    .argument("[folder]", "where to make it", ".")
    .option("--yes", "ask nothing")
    .option("--force", "write into a folder that is not empty")
    .action(run(async () => (await import("./command/init.ts")).init));
  program
    .command("start")
    .description("run a topology: a ready one by its name, or a file that exports one")
    .argument("[name or file]", "iot, or a .ts file")
    .option("--name <export>", "which topology of the file")
    .option("--replay <file>", "read a file in the replay format: a {topic, key, ts, payload} a line")
    .option("--input <file>", "read an .ndjson or .csv file")
    .option("--topic <topic>", "the topic that --input goes to")
    .option("--key <field>", "the field of --input that becomes the key")
    .option("--time <field>", "the field of --input that becomes the load time (default: now)")
    .option("--again", "read the file once more, though it was read before")
    .option("--until-end", "stop when all input is processed and delivered, and print a summary")
    .option("--no-generate", "do not simulate a fleet when no input is named")
    .option("--generate", "do so on Kafka too, where it is not the default")
    .option("--kafka <brokers>", "run on Kafka: HOST:PORT of brokers, with commas between them")
    .option("--create-topics", "create topics that do not exist (Kafka)")
    .option("--threads <n>", "threads that share the tasks, one a partition at most (default 1)")
    .option("--standby-replicas <n>", "copies of each task's state kept on other instances (Kafka)")
    .option("--from-savepoint <name or folder>", "begin with the stores and offsets of a savepoint; there must be none yet")
    .option("--partitions <n>", "partitions of topics that are made (default 1, on Kafka 4)")
    .option("--clickhouse <url>", "a ClickHouse server, instead of the embedded one")
    .option("--port <n>", "port of the status server on 127.0.0.1 (default: any free one)")
    .option("--migrate", "apply additive changes to ClickHouse tables that exist")
    .addHelpText("after", START_EXAMPLES)
    .action(run(async () => (await import("./command/start.ts")).start));
  program
    .command("generate")
    .description("write records of a simulated fleet, in the replay format")
    .argument("<system>", "iot")
    .addOption(new Option("--count <n>", "how many records").argParser(whole(1, 1e10)).default(10_000))
    .option("--seed <n>", "the same seed gives the same records (default 42)")
    .option("--devices <n>", "devices of the fleet (default 20)")
    .option("--rate <n>", "records a second of simulated time (default 50)")
    .option("--duplicates <share>", "share of repeats (default 0.05)")
    .option("--late <share>", "share of records up to four days late (default 0.02)")
    .option("--malformed <share>", "share of malformed records (default 0.01)")
    .addOption(new Option("--start <time>", "when simulated time begins").argParser(moment).default(Date.UTC(2026, 0, 1), "2026-01-01T00:00:00Z"))
    .option("--out <file>", "where to (default: standard output)")
    .addOption(new Option("--format <format>", "the format").choices(["replay"]).default("replay"))
    .addHelpText("after", "\nExample:\n  iot-topology generate iot --count 100000 --seed 7 --out fleet.ndjson")
    .action(run(async () => (await import("./command/generate.ts")).generate as Action));
  program
    .command("clickhouse")
    .description("run a data folder's embedded ClickHouse by itself")
    .option("--port <n>", "its HTTP port (default: any free one)")
    .action(run(async () => async (context, _, flags) => (await import("./command/clickhouse.ts")).clickhouse(context, flags)));
}

function addLooking(program: Command, run: Run): void {
  program
    .command("describe")
    .description("show what a topology does, with each sink's guarantee")
    .argument("[name or file]")
    .option("--name <export>", "which topology of the file")
    .addOption(new Option("--format <format>", "text, or a Mermaid diagram").choices(["text", "mermaid"]).default("text"))
    .action(run(async () => (await import("./command/describe.ts")).describe));
  program
    .command("check")
    .description("check a topology, and tell what has changed since its lock file was written: compatible, or breaking")
    .argument("[name or file]")
    .option("--name <export>", "which topology of the file")
    .option("--lock <file>", "the lock file (default: topology.lock.json beside the topology's file)")
    .option("--accept", "write the lock file although something is lost")
    .option("--frozen", "write nothing, and fail where the lock file is not up to date")
    .addHelpText("after", "\nExample:\n  iot-topology check ./topology.ts          before a deployment; commit topology.lock.json with the change\n  iot-topology check ./topology.ts --frozen in a build: exit code 1 where that was forgotten")
    .action(run(async () => (await import("./command/check.ts")).check));
  program
    .command("sql")
    .description("ask ClickHouse: the running instance's, or the data folder's")
    .argument("<query>")
    .option("--format <format>", "any output format of ClickHouse (default: PrettyCompact on a terminal, else TSV)")
    .option("--clickhouse <url>", "a ClickHouse server, instead of the folder's")
    .addHelpText("after", '\nExample:\n  iot-topology sql "SELECT * FROM readings_latest ORDER BY device_id, metric LIMIT 5"')
    .action(run(async () => (await import("./command/sql.ts")).sql as Action));
  program
    .command("status")
    .description("show how the running instance stands; with --kafka also how far the group is, whoever runs")
    .option("--kafka <brokers>", "HOST:PORT of Kafka brokers, where nothing runs in the data folder")
    .option("--topology <name or file>", "whose group, where nothing runs (default: the folder's, or the configured one)")
    .option("--name <export>", "which topology of the file")
    .action(run(async () => async (context, _, flags) => (await import("./command/status.ts")).status(context, flags)));
  program
    .command("doctor")
    .description("check the machine, the data folder, Kafka and ClickHouse")
    .option("--port <n>", "a port that should be free")
    .option("--clickhouse <url>", "a ClickHouse server to check")
    .option("--kafka <brokers>", "HOST:PORT of Kafka brokers to check, with the topics of the topology")
    .action(run(async () => async (context, _, flags) => (await import("./command/doctor.ts")).doctor(context, flags)));
  const config = program.command("config").description("look at the configuration");
  config
    .command("print")
    .description("show the merged configuration and where each value comes from; secrets are hidden")
    .addHelpText("after", `\n${configHelp()}`)
    .action(run(async () => (await import("./command/config.ts")).printConfig));
}

function addKeeping(program: Command, run: Run): void {
  const dlq = program.command("dlq").description("dead letters: records that were refused, with their reason");
  const filtered = (command: Command, limit: number, limitMax: number) =>
    command
      .option("--code <code>", "only this reason")
      .option("--step <step>", "only those of this step")
      .option("--topic <topic>", "only those of this topic")
      .addOption(new Option("--limit <n>", "at most so many").argParser(whole(1, limitMax)).default(limit))
      .option("--table <table>", "the table of dead letters", "dead_letters")
      .option("--clickhouse <url>", "a ClickHouse server, instead of the folder's");
  filtered(dlq.command("list").description("count them by reason"), 1_000, 1_000).action(run(async () => async (context, _, flags) => (await import("./command/dlq.ts")).dlqList(context, flags)));
  filtered(dlq.command("show").description("show the newest"), 10, 10_000).action(run(async () => async (context, _, flags) => (await import("./command/dlq.ts")).dlqShow(context, flags)));
  filtered(dlq.command("replay").description("append the original bytes to their topics again"), 1_000, 100_000)
    .option("--yes", "do not ask")
    .option("--kafka <brokers>", "HOST:PORT of Kafka brokers, where nothing runs in the data folder")
    .action(run(async () => async (context, _, flags: never) => (await import("./command/dlq.ts")).dlqReplay(context, flags, (flags as { yes?: boolean }).yes === true)));
  program
    .command("reset")
    .description("remove a topology's state and ClickHouse tables; the log stays")
    .argument("[name or file]")
    .option("--name <export>", "which topology of the file")
    .option("--log", "remove the log too, with every record in it")
    .option("--clickhouse <url>", "the ClickHouse server that holds the tables")
    .option("--kafka <brokers>", "the Kafka brokers that it ran on")
    .option("--yes", "do not ask")
    .action(run(async () => (await import("./command/reset.ts")).reset));
}

function* allCommands(command: Command): Generator<Command> {
  for (const child of command.commands) {
    yield child;
    yield* allCommands(child);
  }
}

function withCommonFlags(command: Command): void {
  if (command.commands.length > 0) return;
  command
    .option("--data <folder>", "the data folder (default ./.iot-topology)")
    .option("--config <file>", "the configuration file (default ./iot-topology.config.json, if there)")
    .option("--env <name>", "a section of the configuration file")
    .option("--json", "write for programs")
    .option("--verbose", "write more, and stacks of errors");
}

const EXAMPLES = `
Examples:
  iot-topology start                                  simulate a fleet and load it into an embedded ClickHouse
  iot-topology sql "SELECT count() FROM readings"     ask for it, from another terminal
  iot-topology init my-project                        make a project of your own

Exit codes: 0 done, 1 failed, 2 wrongly used. NO_COLOR switches colours off.`;

const START_EXAMPLES = `
Examples:
  iot-topology start iot --replay readings.ndjson --until-end
  iot-topology start iot --kafka localhost:9092 --create-topics --clickhouse http://localhost:8123
  iot-topology start ./topology.ts --clickhouse https://clickhouse.example:8443 --env prod`;
