/** A join of two streams as plainly as it can be said: all records are remembered, and each new one is held against all of them. */
export type JoinKind = "inner" | "left" | "outer";

export interface ModelRecord {
  readonly isLeft: boolean;
  readonly key: string | null;
  readonly value: string | null;
  readonly timestamp: number;
}

/** A row: the place of the record that made it leave, key, value, time. */
type Row = readonly [place: number, key: string | null, value: string, timestamp: number];

interface Remembered extends ModelRecord {
  readonly place: number;
  state: "waits" | "matched" | "left alone";
}

export function modelOfJoin(kind: JoinKind, { before, after, grace }: { readonly before: number; readonly after: number; readonly grace: number }, records: readonly ModelRecord[]): Row[] {
  const rows: Row[] = [];
  const all: Remembered[] = [];
  let time = Number.NEGATIVE_INFINITY;
  const sideTime = (isLeft: boolean): number => Math.max(...all.filter((other) => other.isLeft === isLeft).map(({ timestamp }) => timestamp), Number.NEGATIVE_INFINITY);
  const leavesAlone = (isLeft: boolean): boolean => kind === "outer" || (kind === "left" && isLeft);
  const endOf = ({ isLeft, timestamp }: ModelRecord): number => timestamp + (isLeft ? after : before) + grace;
  const isPair = (left: ModelRecord, right: ModelRecord): boolean => left.key === right.key && right.timestamp >= left.timestamp - before && right.timestamp <= left.timestamp + after;
  const alone = ({ isLeft, key, value, timestamp }: ModelRecord, place: number): void => void rows.push([place, key, isLeft ? `${value}|null` : `null|${value}`, timestamp]);

  records.forEach((record, place) => {
    const { isLeft, key, value, timestamp } = record;
    time = Math.max(time, timestamp);
    if (value === null) return;
    if (key === null) return leavesAlone(isLeft) ? alone(record, place) : undefined;
    if (timestamp === time) {
      const due = all.filter((other) => other.state === "waits" && leavesAlone(other.isLeft) && endOf(other) < time);
      due.sort((a, b) => a.timestamp - b.timestamp || Number(a.isLeft) - Number(b.isLeft) || ((a.key as string) < (b.key as string) ? -1 : a.key === b.key ? a.place - b.place : 1));
      for (const other of due) {
        other.state = "left alone";
        alone(other, place);
      }
    }
    const kept = sideTime(!isLeft) - before - after - grace;
    const matches = all.filter((other) => other.isLeft !== isLeft && other.state !== "left alone" && other.timestamp > kept && (isLeft ? isPair(record, other) : isPair(other, record)));
    matches.sort((a, b) => a.timestamp - b.timestamp || a.place - b.place);
    for (const match of matches) {
      match.state = "matched";
      rows.push([place, key, isLeft ? `${value}|${match.value}` : `${match.value}|${value}`, Math.max(timestamp, match.timestamp)]);
    }
    const isOver = matches.length === 0 && leavesAlone(isLeft) && endOf(record) < time;
    if (isOver) alone(record, place);
    all.push({ ...record, place, state: isOver ? "left alone" : matches.length > 0 ? "matched" : "waits" });
  });
  return rows;
}
