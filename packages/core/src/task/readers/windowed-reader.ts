/** Reader of windowed aggregates of a key. */
import type { WindowedAggregateNode } from "../../topology/index.ts";
import { storedWindows } from "../windowing/index.ts";
import type { StoreReader } from "./reader.ts";
import { windowLookup, windowSizeMs } from "./window-lookup.ts";

export function windowedReader(node: WindowedAggregateNode): StoreReader {
  const { name, window } = node;
  const lookUp = windowLookup(node, storedWindows(node));
  const windowMs = windowSizeMs(window);
  return {
    name,
    kind: window.kind === "session" ? "session" : "window",
    node,
    ...(windowMs === undefined ? {} : { windowMs }),
    async *windows(place, key, from, to) {
      yield* await Promise.resolve(lookUp(place, key, from, to));
    },
  };
}
