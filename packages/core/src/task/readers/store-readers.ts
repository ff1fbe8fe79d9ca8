import type { ProcessNode, StoreDeclaration, TopologyNode } from "../../topology/index.ts";
import { declaredReader, tableReader, versionedTableReader } from "./key-value-reader.ts";
import type { StoreReader } from "./reader.ts";
import { windowedReader } from "./windowed-reader.ts";
import { sessionStoreReader, versionedStoreReader, windowStoreReader } from "./window-reader.ts";

function readerOfStore(declaration: StoreDeclaration, node: ProcessNode, steps: readonly string[]): StoreReader | undefined {
  const { form } = declaration;
  const timed = { declaration, node, steps };
  switch (form.kind) {
    case "key-value":
    case "ordered":
      return declaredReader(declaration, node, steps, { ...form, kind: form.kind });
    case "window":
      return windowStoreReader(timed, form.serde, form.retentionMs);
    case "session":
      return sessionStoreReader(timed, form.serde, form.retentionMs);
    case "versioned":
      return versionedStoreReader(timed, form.serde, form.historyMs);
    // Only the store itself knows what it keeps.
    case "custom":
      return undefined;
  }
}

function readersOfProcess(node: ProcessNode, nodes: readonly TopologyNode[]): StoreReader[] {
  return node.stores.flatMap((declaration) => {
    const users = nodes.filter((other): other is ProcessNode => other.kind === "process" && other.stores.includes(declaration));
    // A store that several steps share is read once.
    return users[0] === node ? (readerOfStore(declaration, node, users.map(({ name }) => name)) ?? []) : [];
  });
}

/** The stores of these steps that are asked by the records' keys. */
export function storeReaders(nodes: readonly TopologyNode[]): StoreReader[] {
  return nodes.flatMap((node): StoreReader[] => {
    switch (node.kind) {
      case "table":
        return [node.historyMs === undefined ? tableReader(node.name, node, node.serde) : versionedTableReader(node, node.historyMs)];
      case "table-filter":
      case "table-map":
      case "table-join":
        return node.serde === undefined || node.name === undefined ? [] : [tableReader(node.name, node, node.serde)];
      case "keyed-aggregate":
      case "table-aggregate":
      case "cogroup":
        return [tableReader(node.name, node, node.serde)];
      case "global-table":
        return [{ ...tableReader(node.name, node, node.serde), isEverywhere: true }];
      case "windowed-aggregate":
        return [windowedReader(node)];
      case "process":
        return readersOfProcess(node, nodes);
      default:
        return [];
    }
  });
}
