import type { RawJson } from "./column.ts";

/** What every supported Node has and TypeScript's library does not declare yet. */
interface ExactJson {
  readonly rawJSON: (text: string) => RawJson;
  readonly isRawJSON: (value: unknown) => value is RawJson;
  readonly parse: (text: string, reviver: (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown) => unknown;
}

const exactJson = JSON as unknown as ExactJson;

/** A number's JSON source text as a value that `JSON.stringify` writes out as it is. */
export const rawJson: (text: string) => RawJson = exactJson.rawJSON;
/** Whether a value was made by {@link rawJson}. */
export const isRawJson: (value: unknown) => value is RawJson = exactJson.isRawJSON;

/** `JSON.parse` with each value's source text given to the reviver. */
export const parseWithSource: ExactJson["parse"] = exactJson.parse;
