import type { StreamRecord } from "../model/index.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the typed handles guarantee what flows; inside the engine a record's value is any value.
type AnyValue = any;
/** A record inside the engine. */
export type AnyRecord = StreamRecord<AnyValue>;

/** A step, compiled: takes a record and calls the links behind it before it returns. */
export type Link = (record: AnyRecord) => void;

const nowhere: Link = () => {};

/** One link that feeds several. Loops are unrolled for one and two, which is nearly all. */
export function fanOut(links: readonly Link[]): Link {
  const [first, second] = links;
  if (first === undefined) return nowhere;
  if (second === undefined) return first;
  if (links.length === 2) {
    return (record) => {
      first(record);
      second(record);
    };
  }
  return (record) => {
    for (const link of links) link(record);
  };
}
