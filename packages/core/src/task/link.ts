import type { StreamRecord } from "../model/index.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the typed handles guarantee what flows; inside the engine a record's value is any value.
type AnyValue = any;
/** A record inside the engine. Between tables it is a change: `value` is what the key's value became, `old` what it was, null where there is none. */
export type AnyRecord = StreamRecord<AnyValue> & {
  readonly old?: AnyValue;
  /** The window of a change of a windowed table, whose `key` is the key inside the window. */
  readonly window?: WindowOfKey;
  /** Set on a change of a versioned table that is not the newest version of its key; `old` is that newest version then. */
  readonly outOfOrder?: true;
};

/** The bounds of a window in epoch milliseconds; whether the end belongs to it depends on the kind of window. */
export interface WindowOfKey {
  readonly start: number;
  readonly end: number;
}

/** A step, compiled: takes a record and calls the links behind it before it returns. */
export type Link = (record: AnyRecord) => void;

const nowhere: Link = () => {};

const ofLogRecords = new WeakSet<Link>();

/** Marks a link that may be given a record of the log as it stands: it takes what it needs of its bytes, and sends on none of it by spreading it. */
export function takesLogRecords(link: Link): Link {
  ofLogRecords.add(link);
  return link;
}

/** A link for records of the log: as they stand where the link may have them, otherwise as records like those of any other step. */
export function logEntry(link: Link): Link {
  if (ofLogRecords.has(link)) return link;
  return ({ key, value, timestamp, headers }) => link({ key, value, timestamp, headers });
}

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
