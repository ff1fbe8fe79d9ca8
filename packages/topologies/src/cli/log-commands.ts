import { type Command, Option } from "commander";
import type { Action, Run } from "./action.ts";

const KAFKA = ["--kafka <brokers>", "HOST:PORT of Kafka brokers, with commas between them"] as const;

/** The commands that work on a log: Kafka's where brokers are named, otherwise the data folder's. */
export function addLog(program: Command, run: Run): void {
  addWriting(program, run);
  addTopics(program, run);
  addOffsets(program, run);
  addSavepoint(program, run);
}

function addWriting(program: Command, run: Run): void {
  program
    .command("produce")
    .description("append lines of a file or of standard input to a topic")
    .argument("<topic>")
    .option("--input <file>", "the lines (default: standard input)")
    .addOption(new Option("--format <format>", "lines: each is a value as it stands; json: {key, value, timestamp, headers} a line").choices(["lines", "json"]).default("lines"))
    .option("--key <field>", "with lines: the field of each JSON line that becomes the key")
    .option(...KAFKA)
    .option("--create-topics", "create the topic where it does not exist (Kafka)")
    .option("--partitions <n>", "with so many partitions")
    .addHelpText("after", '\nExample:\n  echo \'{"deviceId":"d1","metric":"t","seq":1,"ts":"2026-01-01T00:00:00Z","value":1,"unit":"C"}\' | iot-topology produce iot.readings --key deviceId')
    .action(run(async () => (await import("./command/produce.ts")).produce as Action));
  program
    .command("replay")
    .description("append a file to the log exactly once: what was read before is not read again")
    .argument("<file>", "in the replay format, a {topic, key, ts, payload} a line; or .ndjson or .csv with --topic")
    .option("--topic <topic>", "the topic that an .ndjson or .csv file goes to")
    .option("--key <field>", "the field that becomes the key")
    .option("--time <field>", "the field that becomes the load time (default: now)")
    .option("--again", "read the file once more, though it was read before")
    .option(...KAFKA)
    .addHelpText("after", "\nExample:\n  iot-topology replay readings.ndjson --kafka localhost:9092")
    .action(run(async () => (await import("./command/replay.ts")).replay as Action));
}

function addTopics(program: Command, run: Run): void {
  const topics = program.command("topics").description("the topics that a topology needs on Kafka");
  const described = (command: Command) => command.argument("[name or file]").option("--name <export>", "which topology of the file").option(...KAFKA).option("--partitions <n>", "partitions of topics that are made (default 4)");
  described(topics.command("check").description("compare them with what the brokers have; every difference is named"))
    .action(run(async () => (await import("./command/topics.ts")).topicsCheck));
  described(topics.command("create").description("create those that do not exist"))
    .action(run(async () => (await import("./command/topics.ts")).topicsCreate));
}

function addOffsets(program: Command, run: Run): void {
  const offsets = program.command("offsets").description("how far a topology is in each partition of its input");
  const described = (command: Command) => command.option("--topology <name or file>", "the topology (default: the folder's, or the configured one)").option("--name <export>", "which topology of the file").option(...KAFKA);
  described(offsets.command("get").description("print partition, committed, end and lag"))
    .action(run(async () => (await import("./command/offsets.ts")).offsetsGet));
  described(offsets.command("set").description("set committed offsets, while no instance runs (Kafka)"))
    .argument("<positions...>", "TOPIC:PARTITION=OFFSET")
    .option("--yes", "do not ask")
    .action(run(async () => (await import("./command/offsets.ts")).offsetsSet));
  described(offsets.command("reset").description("set all committed offsets, while no instance runs (Kafka)"))
    .requiredOption("--to <place>", "earliest, latest, or a time such as 2026-01-01T00:00:00Z")
    .option("--topic <topic>", "only this topic's")
    .option("--yes", "do not ask")
    .action(run(async () => (await import("./command/offsets.ts")).offsetsReset));
}

function addSavepoint(program: Command, run: Run): void {
  program
    .command("savepoint")
    .description("write the stores and offsets of a stopped topology into a folder, as one portable set")
    .argument("<name or folder>", "a name in the data folder's savepoints, or a path; nothing may be there yet")
    .option("--topology <name or file>", "the topology (default: the folder's, or the configured one)")
    .option("--name <export>", "which topology of the file")
    .option(...KAFKA)
    .addHelpText("after", "\nExample:\n  iot-topology savepoint friday\n  iot-topology start iot --data ./elsewhere --from-savepoint ./.iot-topology/savepoints/friday")
    .action(run(async () => (await import("./command/savepoint.ts")).savepoint as Action));
}
