export * from "./aggregate.ts";
export { type ChangeRepartitionForm, compileChangeDecoder } from "./change-repartition.ts";
export * from "./cogroup.ts";
export * from "./dead-letter.ts";
export * from "./define.ts";
export * from "./global-table.ts";
export * from "./grouped.ts";
export type { StreamJoinOptions, TableJoinOptions } from "./join.ts";
export * from "./join-nodes.ts";
export * from "./join-window.ts";
export * from "./keyed-group.ts";
export * from "./node.ts";
export type { OnError } from "./policy.ts";
export * from "./custom-store.ts";
export type { AsyncAttempt, AsyncMap, MapAsyncNode, MapAsyncOptions } from "./map-async.ts";
export {
  type Cancellable,
  carries,
  type Carries,
  type Forward,
  type ForwardValue,
  type InitContext,
  type ProcessChildNode,
  type ProcessNode,
  type ProcessOptions,
  type ProcessStream,
  type ProcessValuesOptions,
  type PunctuationTime,
  type RecordContext,
  type StoreContext,
  type StoreNames,
  type StoreOf,
} from "./process.ts";
export * from "./store-declaration.ts";
export type { LateStream, WithLate } from "./late-stream.ts";
export type { CastOptions, RawStream, StandardCastOptions } from "./raw-stream.ts";
export { compileRepartitionDecoder, compileRepartitionKey, type Partitioner, type PartitionsForm, type RepartitionForm, type RepartitionOptions, type RepartitionValues, repartitionTopic, type SerdeRepartitionOptions } from "./repartition.ts";
export * from "./stream.ts";
export { type BufferOptions, type SuppressOptions, untilTimeLimit, type UntilTimeLimit, untilWindowCloses, type UntilWindowCloses } from "./suppress.ts";
export * from "./table.ts";
export * from "./table-group.ts";
export * from "./table-join-nodes.ts";
export * from "./table-nodes.ts";
export * from "./topic.ts";
export type { ValueFormat } from "./value-format.ts";
export * from "./window.ts";
export * from "./window-nodes.ts";
export * from "./windowed-group.ts";
export * from "./windowed-table.ts";
