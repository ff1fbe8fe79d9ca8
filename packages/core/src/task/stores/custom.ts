/** Opens a store of the user's own making: its entries are sealed and committed like those of any other store. */
import { beginEntry, putSealed, readEntry } from "../../state/sealed.ts";
import type { CustomStore, OpenCustomStore, StoreEnvironment } from "../../topology/index.ts";
import type { OpenedStore, StorePlace } from "./place.ts";

const NUL = "\0";

export function openCustom({ context }: StorePlace, name: string, open: OpenCustomStore<never>): OpenedStore {
  const { backend, scratch, taskId } = context;
  const prefix = `s${NUL}${name}${NUL}`;
  const environment: StoreEnvironment = Object.freeze({
    name,
    taskId,
    read: (key: string) => readEntry(backend, scratch, prefix, key, `store ${name}`),
  });
  const custom = (open as OpenCustomStore<CustomStore>)(environment);
  context.tables.push({
    flush(batch) {
      custom.flush({
        put(key, value) {
          const keyEnd = beginEntry(scratch, prefix, key);
          scratch.bytes(value);
          putSealed(batch, scratch, keyEnd);
        },
        delete(key) {
          batch.del(Buffer.from(prefix + key));
        },
      });
    },
    committed: () => custom.committed(),
  });
  const { mark, rollBack } = custom;
  const takesBack = mark !== undefined && rollBack !== undefined;
  return { store: custom, advance: () => {}, takesBack, ...(takesBack ? { mark: () => custom.mark?.(), rollBack: () => custom.rollBack?.() } : {}) };
}
