import type { ErrorPolicy } from "./node.ts";
import type { DeadLetterStream } from "./dead-letter.ts";

/** `fail` stops the task (the default), `skip` counts and goes on, a dead-letter stream takes the record with its reason. */
export type OnError = "fail" | "skip" | DeadLetterStream;

const POLICY_FAIL: ErrorPolicy = Object.freeze({ kind: "fail" });
const POLICY_SKIP: ErrorPolicy = Object.freeze({ kind: "skip" });

/** The policy as data. */
export function errorPolicy(onError: OnError | undefined): ErrorPolicy {
  if (onError === undefined || onError === "fail") return POLICY_FAIL;
  if (onError === "skip") return POLICY_SKIP;
  return Object.freeze({ kind: "dead-letter", node: onError.nodeId });
}
