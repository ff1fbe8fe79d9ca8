import type { Namespace, Root, Type } from "protobufjs";
import protobuf from "protobufjs";

/** A `.proto` file with what it imports. */
export interface ProtoFile {
  /** The message type at a path of indexes: `[1, 0]` is the first message inside the second. Throws a RangeError where there is none. */
  typeAt(path: readonly number[]): Type;
  /** The path of a type by name (`Order`, `shop.Order`, `Order.Line`); of the first message when absent. Throws a RangeError. */
  pathOf(name?: string): readonly number[];
}

/** A file that another one imports. */
export interface ProtoImport {
  readonly name: string;
  readonly text: string;
}

const MESSAGES_MAX = 10_000;

function messagesOf(parent: Namespace): readonly Type[] {
  return parent.nestedArray.filter((nested): nested is Type => nested instanceof protobuf.Type);
}

/** The namespace that a file's package names; the root without one. */
function packageOf(root: Root, name: string | undefined): Namespace {
  if (name === undefined) return root;
  const found = root.lookup(name.split("."), [protobuf.Namespace]);
  if (found instanceof protobuf.Namespace) return found;
  throw new SyntaxError(`the package ${name} is not in its file`);
}

/** Google's own types that the parser knows: timestamps, wrappers, structs. Their files are never registered. */
function addWellKnown(root: Root, imports: readonly string[]): void {
  for (const name of imports) {
    const known = protobuf.common.get(name);
    if (known?.nested !== undefined && root.lookup("google.protobuf") === null) root.addJSON(known.nested);
    else if (known?.nested !== undefined) addMissing(root, known.nested);
  }
}

function addMissing(root: Root, nested: Readonly<Record<string, unknown>>): void {
  const types = ((nested["google"] as { readonly nested?: { readonly protobuf?: { readonly nested?: Readonly<Record<string, never>> } } }).nested?.protobuf?.nested ?? {});
  const parent = root.lookup("google.protobuf") as Namespace;
  for (const [name, type] of Object.entries(types)) if (parent.get(name) === null) parent.addJSON({ [name]: type });
}

/** Parses a file and its imports. Throws an Error that says what is wrong. */
export function parseProto(text: string, imports: readonly ProtoImport[] = []): ProtoFile {
  const main = protobuf.parse(text, new protobuf.Root(), { keepCase: true });
  // The index of a message counts those of its own file, so they are listed before an import adds others to the same package.
  const top = messagesOf(packageOf(main.root, main.package));
  const wellKnown = [...(main.imports ?? [])];
  for (const { text: imported } of imports) wellKnown.push(...(protobuf.parse(imported, main.root, { keepCase: true }).imports ?? []));
  addWellKnown(main.root, wellKnown);
  main.root.resolveAll();
  const paths = new Map<string, readonly number[]>();
  const walk = (types: readonly Type[], path: readonly number[]): void => {
    types.forEach((type, index) => {
      if (paths.size >= MESSAGES_MAX) throw new RangeError(`the file has more than ${MESSAGES_MAX} messages`);
      paths.set(type.fullName.replace(/^\./, ""), [...path, index]);
      walk(messagesOf(type), [...path, index]);
    });
  };
  walk(top, []);
  return {
    typeAt(path) {
      let types = top;
      let found: Type | undefined;
      for (const index of path) {
        found = types[index];
        if (found === undefined) break;
        types = messagesOf(found);
      }
      if (found === undefined) throw new RangeError(`the file has no message at [${path.join(", ")}]`);
      return found;
    },
    pathOf(name) {
      if (name === undefined) return [0];
      const path = paths.get(name) ?? (main.package === undefined ? undefined : paths.get(`${main.package}.${name}`));
      if (path === undefined) throw new RangeError(`the file has no message ${name}; it has ${[...paths.keys()].slice(0, 20).join(", ")}`);
      return path;
    },
  };
}
