/** What a plan says of windows and suppress that cannot work. */
import t from "tap";
import { describe, defineTopology, hopping, type KeyedGroup, minutes, seconds, serde, session, sliding, type Stream, type Table, tumbling, untilTimeLimit, untilWindowCloses, validate } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";

type Build = (group: KeyedGroup<number, number | null>, table: Table<number>) => { toStream(): unknown };
const topologyOf = (build: Build) =>
  defineTopology("windows", (b) => {
    const built = build(b.source("in").decode(serde.json<number>()).groupByKey(), b.table("rows", { store: "rows-store", value: serde.json<number>() }));
    (built.toStream() as Stream<unknown>).sink(collect("out"));
  });
const problemsOf = (build: Build): string[] => {
  const result = validate(topologyOf(build));
  return result._tag === "Left" ? result.left.map(({ rule, step, message, cure }) => `${rule} ${step}: ${message}; ${cure}`) : [];
};

t.test("lengths of time must make windows", (t) => {
  const cases: readonly (readonly [Build, RegExp])[] = [
    [(g) => g.windowed(tumbling(0, { grace: 0 })).count("n"), /^WINDOW_INVALID n: a window of 0 ms; give a size/],
    [(g) => g.windowed(tumbling(1.5, { grace: 0 })).count("n"), /^WINDOW_INVALID n: a window of 1.5 ms/],
    [(g) => g.windowed(tumbling(5, { grace: -1 })).count("n"), /^WINDOW_INVALID n: the grace is -1 ms/],
    [(g) => g.windowed(hopping(10, { advance: 0, grace: 0 })).count("n"), /^WINDOW_INVALID n: the advance is 0 ms/],
    [(g) => g.windowed(hopping(seconds(10), { advance: seconds(11), grace: 0 })).count("n"), /^WINDOW_INVALID n: windows of 10 s that begin every 11 s leave out what comes between them; give an advance/],
    [(g) => g.windowed(sliding(-1, { grace: 0 })).count("n"), /^WINDOW_INVALID n: the time difference is -1 ms/],
    [(g) => g.windowed(session(0, { grace: 0 })).count("n"), /^WINDOW_INVALID n: the gap is 0 ms/],
    [(g) => g.windowed(tumbling(5, { grace: 0 }), { retention: Number.NaN }).count("n"), /^WINDOW_INVALID n: the retention is NaN ms/],
    [(g) => g.windowed(tumbling(5, { grace: "unbounded" }), { emit: "close" }).count("n"), /^WINDOW_INVALID n: windows whose grace is unbounded are never closed/],
    // @ts-expect-error -- for those who have no types.
    [(g) => g.windowed(session(5, { grace: 0 })).aggregate("n", { value: serde.integer(), init: () => 0, add: (n) => n + 1 }), /^WINDOW_INVALID n: nothing says how the totals of two sessions come together/],
  ];
  for (const [build, expected] of cases) t.match(problemsOf(build), [expected]);
  t.end();
});

t.test("a suppress must have something to hold, a way to keep it, and bounds that mean something", (t) => {
  const windows = (g: KeyedGroup<number, number | null>) => g.windowed(tumbling(5, { grace: 0 }));
  const cases: readonly (readonly [Build, RegExp])[] = [
    [(g) => g.windowed(tumbling(5, { grace: 0 }), { emit: "close" }).count("n").suppress("held", untilWindowCloses()), /^SUPPRESS_INVALID held: the results that come to it are final already; leave it out/],
    [(g) => g.windowed(tumbling(5, { grace: "unbounded" })).count("n").suppress("held", untilWindowCloses()), /^SUPPRESS_INVALID held: windows whose grace is unbounded/],
    [(g) => windows(g).count("n").suppress("held", untilWindowCloses()).suppress("again", untilWindowCloses()), /^SUPPRESS_INVALID again: the results that come to it are final already/],
    [(g) => windows(g).count("n").mapValues((n) => `${n}`).suppress("held", untilWindowCloses()), /^SUPPRESS_INVALID held: nothing says how held values are kept.*give suppress a serde as \{ value \}/],
    [(_, table) => table.suppress("held", untilTimeLimit(-1)), /^SUPPRESS_INVALID held: the limit is -1 ms/],
    [(_, table) => table.suppress("held", untilTimeLimit(1, { buffer: { recordsMax: 0, full: "fail" } })), /^SUPPRESS_INVALID held: recordsMax is 0/],
    // @ts-expect-error -- for those who have no types.
    [(_, table) => table.suppress("held", untilTimeLimit(1, { buffer: { full: "fail" } })), /^SUPPRESS_INVALID held: nothing says when the buffer is full/],
    // @ts-expect-error -- for those who have no types.
    [(_, table) => table.suppress("held", untilTimeLimit(1, { buffer: { bytesMax: 5 } })), /^SUPPRESS_INVALID held: a buffer that spills has no bound in bytes/],
    // @ts-expect-error -- for those who have no types.
    [(g) => windows(g).count("n").suppress("held", untilWindowCloses({ buffer: { recordsMax: 5, full: "emit-early" } })), /^SUPPRESS_INVALID held: a result that leaves early is not final/],
  ];
  for (const [build, expected] of cases) t.match(problemsOf(build), [expected]);
  t.same(problemsOf((g) => windows(g).count("n").mapValues((n) => `${n}`).suppress("held", untilWindowCloses(), { value: serde.string() })), []);
  t.end();
});

t.test("describe shows windows, when they emit, and what is held back", (t) => {
  const text = (build: Build): string => {
    const result = validate(topologyOf(build));
    if (result._tag === "Left") throw new Error("a valid topology");
    return describe(result.right);
  };
  t.match(text((g) => g.windowed(hopping(minutes(10), { advance: minutes(1), grace: seconds(5) }), { emit: "close" }).count("n")), "n: count a key, hopping 10 min every 1 min, grace 5 s, emitted on close, integer; store n");
  t.match(text((g) => g.windowed(session(minutes(30), { grace: 0 }), { retention: minutes(90) }).count("n").suppress("held", untilWindowCloses())), "n: count a key, sessions with gaps of 30 min, grace 0 ms, emitted on update, kept for 90 min, integer; store n");
  t.match(text((_, table) => table.suppress("held", untilTimeLimit(seconds(1), { buffer: { recordsMax: 7, full: "emit-early" } }))), "held: suppress until 1 s have passed, at most 7 changes, then emit-early; store held");
  t.end();
});
