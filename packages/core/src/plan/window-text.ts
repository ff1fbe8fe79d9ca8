import type { Window } from "../topology/index.ts";
import { duration } from "./duration.ts";

function windowText(window: Window): string {
  const grace = `grace ${duration(window.graceMs)}`;
  switch (window.kind) {
    case "tumbling":
      return `tumbling ${duration(window.sizeMs)}, ${grace}`;
    case "hopping":
      return `hopping ${duration(window.sizeMs)} every ${duration(window.advanceMs)}, ${grace}`;
    case "sliding":
      return `sliding ${duration(window.timeDifferenceMs)}, ${grace}`;
    case "session":
      return `sessions with gaps of ${duration(window.gapMs)}, ${grace}`;
  }
}

/** Windows for people. */
export function windowsText(window: Window | undefined, emit?: string, retentionMs?: number): string {
  if (window === undefined) return "";
  const emits = emit === undefined ? "" : emit === "commit" ? ", emitted at commits" : `, emitted on ${emit}`;
  return `, ${windowText(window)}${emits}${retentionMs === undefined ? "" : `, kept for ${duration(retentionMs)}`}`;
}
