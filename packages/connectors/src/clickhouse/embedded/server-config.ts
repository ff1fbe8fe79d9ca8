import { totalmem } from "node:os";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** What the embedded server may use, for a machine (or container) of this much memory. */
export function memoryBytesMax(machineBytes: number = availableBytes()): number {
  return Math.round(Math.min(8 * GIB, Math.max(GIB, machineBytes / 2)));
}

function availableBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 && constrained < totalmem() ? constrained : totalmem();
}

/** The part of the configuration that is chosen per start. */
export interface ServerConfig {
  readonly httpPort: number;
  readonly tcpPort: number;
  readonly memoryBytesMax: number;
  /** Whether acknowledged inserts survive a power cut: 3.4 -> 5.3 ms an insert of 1,000 rows. */
  readonly fsync: boolean;
}

/**
 * The server's configuration file. Loopback only, because the engine is not sandboxed: whoever may send SQL may read files.
 *
 * The caches' defaults sum to tens of GiB, which only the memory limit would hold back. The merge settings fit the small pool:
 * by their defaults (8 and 20 free slots) a pool of 4 would hold back every larger merge and mutation while another runs.
 */
export function serverConfigXml(config: ServerConfig): string {
  const fsync = config.fsync ? 1 : 0;
  return `<clickhouse>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>${config.httpPort}</http_port>
  <tcp_port>${config.tcpPort}</tcp_port>
  <max_server_memory_usage>${config.memoryBytesMax}</max_server_memory_usage>
  <max_thread_pool_size>1000</max_thread_pool_size>
  <max_connections>256</max_connections>
  <max_concurrent_queries>100</max_concurrent_queries>
  <keep_alive_timeout>60</keep_alive_timeout>
  <shutdown_wait_unfinished>1</shutdown_wait_unfinished>
  <background_pool_size>4</background_pool_size>
  <mark_cache_size>${64 * MIB}</mark_cache_size>
  <primary_index_cache_size>${64 * MIB}</primary_index_cache_size>
  <index_mark_cache_size>${16 * MIB}</index_mark_cache_size>
  <compiled_expression_cache_size>${32 * MIB}</compiled_expression_cache_size>
  <vector_similarity_index_cache_size>${MIB}</vector_similarity_index_cache_size>
  <text_index_tokens_cache_size>${MIB}</text_index_tokens_cache_size>
  <text_index_header_cache_size>${MIB}</text_index_header_cache_size>
  <text_index_postings_cache_size>${MIB}</text_index_postings_cache_size>
  <unique_key_index_cache_size_bytes>${MIB}</unique_key_index_cache_size_bytes>
  <unique_key_bitmap_cache_size_bytes>${MIB}</unique_key_bitmap_cache_size_bytes>
  <merge_tree>
    <fsync_after_insert>${fsync}</fsync_after_insert>
    <fsync_part_directory>${fsync}</fsync_part_directory>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>2</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>2</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>2</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
  </merge_tree>
</clickhouse>
`;
}
