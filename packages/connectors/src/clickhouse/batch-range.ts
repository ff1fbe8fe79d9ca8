import type { InputRange } from "@iot-topology/core";
import type { IdentityColumns } from "./declaration.ts";
import { quoted, quotedList } from "./identifier.ts";
import type { Parameters } from "./server.ts";

/** A condition that holds for the rows of some input ranges, with its parameters. */
export interface RangeCondition {
  readonly where: string;
  readonly parameters: Parameters;
}

/** The rows that came from these inputs. */
export function rangeCondition(inputs: readonly InputRange[], identity: IdentityColumns): RangeCondition {
  const parameters: Record<string, string | number> = {};
  const parts = inputs.map((range, index) => {
    parameters[`topic${index}`] = range.topic;
    parameters[`partition${index}`] = range.partition;
    parameters[`first${index}`] = range.firstOffset;
    parameters[`last${index}`] = range.lastOffset;
    return `(${quoted(identity.topic)} = {topic${index}:String} AND ${quoted(identity.partition)} = {partition${index}:UInt32} AND ${quoted(identity.offset)} BETWEEN {first${index}:UInt64} AND {last${index}:UInt64})`;
  });
  return { where: `(${parts.join(" OR ")})`, parameters };
}

/** The columns of a row's identity, as a tuple. */
export function identityTuple(identity: IdentityColumns): string {
  return `(${quotedList([identity.topic, identity.partition, identity.offset, identity.index])})`;
}
