import type { Settings } from "./server.ts";

/**
 * Sent with every insert, because every default among them has changed between versions or may be changed by a profile.
 * A batch must become one block: a token stands for a block, and only a block is all or nothing.
 */
const ONE_BLOCK: Settings = {
  async_insert: 0,
  input_format_parallel_parsing: 0,
  max_insert_threads: 1,
  max_insert_block_size: 16_777_216,
  max_insert_block_size_rows: 16_777_216,
  max_insert_block_size_bytes: 0,
  min_insert_block_size_rows: 16_777_216,
  min_insert_block_size_bytes: 1_073_741_824,
  min_insert_block_size_rows_for_materialized_views: 16_777_216,
  min_insert_block_size_bytes_for_materialized_views: 1_073_741_824,
  input_format_max_block_size_bytes: 0,
  // The window counts a block for each partition of a batch, so this bounds what one batch takes of it.
  max_partitions_per_insert_block: 1_000,
  throw_on_max_partitions_per_insert_block: 1,
  // The rows that are verified are the rows that were sent: nothing is collapsed on the way in.
  optimize_on_insert: 0,
  materialized_views_ignore_errors: 0,
  parallel_view_processing: 0,
  input_format_binary_read_json_as_string: 1,
  // Members of unknown fields may be named `a.b` beside an `a` that has a `b`: without these two one such record refuses its whole batch (engine 26.7).
  json_type_escape_dots_in_keys: 1,
  type_json_skip_duplicated_paths: 1,
  input_format_null_as_default: 0,
  insert_null_as_default: 0,
};

/** Settings of an insert under a token: a repeat is dropped by the table and by each view's table. */
export function tokenSettings(token: string, replicated: boolean): Settings {
  return {
    ...ONE_BLOCK,
    ...quorum(replicated),
    insert_deduplicate: 1,
    deduplicate_insert: "enable",
    // The rows come through `INSERT ... SELECT FROM input()`, so that the server can check the permit first.
    insert_select_deduplicate: 1,
    deduplicate_insert_select: "force_enable",
    insert_deduplication_token: token,
    deduplicate_blocks_in_dependent_materialized_views: 1,
    update_insert_deduplication_token_in_dependent_materialized_views: 0,
  };
}

/** Settings of an insert whose rows are known to be missing: nothing may drop them. */
export function plainSettings(replicated: boolean): Settings {
  return {
    ...ONE_BLOCK,
    ...quorum(replicated),
    insert_deduplicate: 0,
    deduplicate_insert: "disable",
    insert_select_deduplicate: 0,
    deduplicate_insert_select: "disable",
    deduplicate_blocks_in_dependent_materialized_views: 0,
  };
}

/** An acknowledged insert must survive the loss of one replica, and checks must see it: reads are made sequential with it. */
function quorum(replicated: boolean): Settings {
  return replicated ? { insert_quorum: "auto", insert_quorum_parallel: 0, select_sequential_consistency: 1 } : {};
}
