/**
 * The keys of a store in order, as a B+tree whose nodes are entries of a `StateTable`: LevelDB can look a key up synchronously but cannot walk synchronously, and a task
 * never waits. Nodes are cached, written at commits and restored like any other entry.
 *
 *   "x\0" name "\0" "root" -> 0 | root varint | next node varint | count varint
 *   "x\0" name "\0" number -> leaf   := 1 | count varint | (shared varint, rest text)*
 *                             branch := 2 | count varint | (shared varint, rest text)* | child varint*
 *
 * Of a branch, child i holds the keys from `keys[i]` on, up to `keys[i + 1]`; its first key bounds nothing. Order is that of UTF-16 code units, as JavaScript compares text.
 * A key is at most once in it. Nodes are split when full and dropped when empty, never merged: stores here are mostly emptied from their old end.
 */
import type { ByteReader, ByteWriter } from "../model/index.ts";
import { invariant } from "../model/index.ts";
import type { StateBackend, StateBatch } from "./backend.ts";
import type { ValueCodec } from "./codec.ts";
import { StateTable } from "./table.ts";

const NUL = "\0";
const ROOT = "root";
const KEYS_MAX = 128;
const LEAF = 1;
const BRANCH = 2;

type IndexNode =
  | { readonly kind: 0; root: number; nextNode: number; count: number }
  | { readonly kind: typeof LEAF; readonly keys: string[] }
  | { readonly kind: typeof BRANCH; readonly keys: string[]; readonly children: number[] };
type Leaf = IndexNode & { readonly kind: typeof LEAF };
type Branch = IndexNode & { readonly kind: typeof BRANCH };
type Root = IndexNode & { readonly kind: 0 };

function writeKeys(writer: ByteWriter, keys: readonly string[]): void {
  writer.varint(keys.length);
  let before = "";
  for (const key of keys) {
    let shared = 0;
    while (shared < before.length && shared < key.length && before.charCodeAt(shared) === key.charCodeAt(shared)) shared++;
    // A surrogate pair must not be cut, or its halves would be lost in UTF-8.
    if (shared > 0 && (key.charCodeAt(shared - 1) & 0xfc00) === 0xd800) shared--;
    writer.varint(shared);
    writer.text(key.slice(shared));
    before = key;
  }
}

function readKeys(reader: ByteReader): string[] {
  const keys: string[] = [];
  let before = "";
  for (let left = reader.varint(); left > 0; left--) {
    before = before.slice(0, reader.varint()) + reader.text();
    keys.push(before);
  }
  return keys;
}

const nodeCodec: ValueCodec<IndexNode> = {
  encode(writer, node) {
    writer.u8(node.kind);
    if (node.kind === 0) {
      writer.varint(node.root);
      writer.varint(node.nextNode);
      writer.varint(node.count);
      return;
    }
    writeKeys(writer, node.keys);
    if (node.kind === BRANCH) for (const child of node.children) writer.varint(child);
  },
  decode(reader) {
    const kind = reader.u8();
    if (kind === 0) return { kind: 0, root: reader.varint(), nextNode: reader.varint(), count: reader.varint() };
    const keys = readKeys(reader);
    return kind === LEAF ? { kind: LEAF, keys } : { kind: BRANCH, keys, children: keys.map(() => reader.varint()) };
  },
};

/** The first place whose key is not below the one given. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The child of a branch that holds a key. */
function childPlace(keys: readonly string[], key: string): number {
  const place = lowerBound(keys, key);
  if (place < keys.length && keys[place] === key) return place;
  return Math.max(0, place - 1);
}

interface Step {
  readonly id: number;
  readonly node: Branch;
  readonly place: number;
}

export class KeyIndex {
  readonly #nodes: StateTable<IndexNode>;
  #root: Root | undefined;

  constructor(backend: StateBackend, name: string, options: { readonly entriesMax: number; readonly scratch: ByteWriter }) {
    this.#nodes = new StateTable(backend, `${name} (its keys in order)`, nodeCodec, { ...options, prefix: `x${NUL}${name}${NUL}` });
  }

  get size(): number {
    return this.#rootEntry().count;
  }

  #rootEntry(): Root {
    if (this.#root !== undefined) return this.#root;
    let root = this.#nodes.get(ROOT) as Root | undefined;
    if (root === undefined) {
      root = { kind: 0, root: 1, nextNode: 2, count: 0 };
      this.#nodes.put(ROOT, root);
      this.#nodes.put("1", { kind: LEAF, keys: [] });
    }
    this.#root = root;
    return root;
  }

  #node(id: number): IndexNode {
    const node = this.#nodes.get(String(id));
    invariant(node !== undefined, `node ${id} of the index ${this.#nodes.name} is there`);
    return node;
  }

  #make(node: IndexNode): number {
    const root = this.#rootEntry();
    const id = root.nextNode++;
    this.#nodes.put(ROOT, root);
    this.#nodes.put(String(id), node);
    return id;
  }

  /** The leaf that holds a key, or would, and the way to it. */
  #find(key: string, path: Step[]): { id: number; leaf: Leaf } {
    let id = this.#rootEntry().root;
    let node = this.#node(id);
    while (node.kind === BRANCH) {
      const place = childPlace(node.keys, key);
      path.push({ id, node, place });
      id = node.children[place] as number;
      node = this.#node(id);
    }
    return { id, leaf: node as Leaf };
  }

  has(key: string): boolean {
    const { leaf } = this.#find(key, []);
    return leaf.keys[lowerBound(leaf.keys, key)] === key;
  }

  /** Adds a key; nothing where it is there. */
  insert(key: string): void {
    const path: Step[] = [];
    const { id, leaf } = this.#find(key, path);
    const place = lowerBound(leaf.keys, key);
    if (leaf.keys[place] === key) return;
    leaf.keys.splice(place, 0, key);
    const root = this.#rootEntry();
    root.count++;
    this.#nodes.put(ROOT, root);
    this.#nodes.put(String(id), leaf);
    if (leaf.keys.length > KEYS_MAX) this.#split(id, leaf, place, path);
  }

  #split(id: number, node: Leaf | Branch, place: number, path: Step[]): void {
    // Keys that come in order leave full nodes behind.
    const at = place === node.keys.length - 1 ? node.keys.length - 1 : node.keys.length >>> 1;
    const keys = node.keys.splice(at);
    const first = keys[0] as string;
    const right = this.#make(node.kind === LEAF ? { kind: LEAF, keys } : { kind: BRANCH, keys, children: node.children.splice(at) });
    this.#nodes.put(String(id), node);
    const above = path.pop();
    if (above === undefined) {
      const root = this.#rootEntry();
      root.root = this.#make({ kind: BRANCH, keys: [node.keys[0] as string, first], children: [id, right] });
      this.#nodes.put(ROOT, root);
      return;
    }
    const parent = above.node;
    // The first child takes keys below its own bound, so the bound may stand above the half that leaves.
    if (above.place === 0) parent.keys[0] = node.keys[0] as string;
    parent.keys.splice(above.place + 1, 0, first);
    parent.children.splice(above.place + 1, 0, right);
    this.#nodes.put(String(above.id), parent);
    if (parent.keys.length > KEYS_MAX) this.#split(above.id, parent, above.place + 1, path);
  }

  /** Removes a key; nothing where it is not there. */
  remove(key: string): void {
    const path: Step[] = [];
    const { id, leaf } = this.#find(key, path);
    const place = lowerBound(leaf.keys, key);
    if (leaf.keys[place] !== key) return;
    leaf.keys.splice(place, 1);
    const root = this.#rootEntry();
    root.count--;
    this.#nodes.put(ROOT, root);
    this.#nodes.put(String(id), leaf);
    if (leaf.keys.length === 0) this.#dropEmpty(id, path);
  }

  #dropEmpty(id: number, path: Step[]): void {
    const above = path.pop();
    const root = this.#rootEntry();
    if (above === undefined) return;
    this.#nodes.delete(String(id));
    above.node.keys.splice(above.place, 1);
    above.node.children.splice(above.place, 1);
    this.#nodes.put(String(above.id), above.node);
    if (above.node.children.length === 0) {
      if (path.length > 0) return this.#dropEmpty(above.id, path);
      this.#nodes.delete(String(above.id));
      root.root = this.#make({ kind: LEAF, keys: [] });
    } else if (path.length === 0 && above.node.children.length === 1) {
      this.#nodes.delete(String(above.id));
      root.root = above.node.children[0] as number;
    }
    this.#nodes.put(ROOT, root);
  }

  /** The keys of one leaf from a key on, and the key to ask from for more; `next` undefined at the end. */
  #page(from: string): { keys: string[]; next: string | undefined } {
    const path: Step[] = [];
    const { leaf } = this.#find(from, path);
    const keys = leaf.keys.slice(lowerBound(leaf.keys, from));
    let next: string | undefined;
    for (const { node, place } of path) next = node.keys[place + 1] ?? next;
    return { keys, next };
  }

  /** The keys of one leaf below a key, the greatest first, and the bound to ask below for more. `undefined` means from the end. */
  #pageBelow(below: string | undefined): { keys: string[]; next: string | undefined } {
    let node = this.#node(this.#rootEntry().root);
    let next: string | undefined;
    while (node.kind === BRANCH) {
      // The last child that may hold something below the bound.
      const place = below === undefined ? node.keys.length - 1 : Math.max(0, lowerBound(node.keys, below) - 1);
      if (place > 0) next = node.keys[place];
      node = this.#node(node.children[place] as number);
    }
    const { keys } = node as Leaf;
    return { keys: keys.slice(0, below === undefined ? keys.length : lowerBound(keys, below)).reverse(), next };
  }

  /** Keys from `from` on, below `below`, in order. What is added or removed while it is walked is seen or not, as far as the walk has come. */
  *walk(from: string, below: string | undefined): Generator<string, void> {
    for (let next: string | undefined = from; next !== undefined; ) {
      const page = this.#page(next);
      for (const key of page.keys) {
        if (below !== undefined && key >= below) return;
        yield key;
      }
      next = page.next;
    }
  }

  /** The same keys, the greatest first. */
  *walkBack(from: string, below: string | undefined): Generator<string, void> {
    let bound = below;
    for (;;) {
      const page = this.#pageBelow(bound);
      for (const key of page.keys) {
        if (key < from) return;
        yield key;
      }
      if (page.next === undefined) return;
      bound = page.next;
    }
  }

  /** The least key. */
  first(): string | undefined {
    const found = this.walk("", undefined).next();
    return found.done === true ? undefined : found.value;
  }

  flush(batch: StateBatch): void {
    this.#nodes.flush(batch);
  }
  committed(): void {
    this.#nodes.committed();
  }
}
