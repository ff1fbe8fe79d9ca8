import type { StoreDeclaration } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";
import { openCustom } from "./custom.ts";
import { openKeyValue } from "./key-value.ts";
import type { OpenedStore, StorePlace } from "./place.ts";
import { openSessionStore, openVersionedStore, openWindowStore } from "./windows.ts";

function open(place: StorePlace, { name, form }: StoreDeclaration): OpenedStore {
  switch (form.kind) {
    case "key-value":
    case "ordered":
      return openKeyValue(place, name, { ...form, kind: form.kind });
    case "window":
      return openWindowStore(place, name, form.serde, form.retentionMs);
    case "session":
      return openSessionStore(place, name, form.serde, form.retentionMs);
    case "versioned":
      return openVersionedStore(place, name, form.serde, form.historyMs);
    case "custom":
      return openCustom(place, name, form.open);
  }
}

/** Opens a declared store; one that another step of the task has opened already is shared. */
export function openStore(context: TaskContext, declaration: StoreDeclaration): OpenedStore {
  const known = context.stores.get(declaration.name);
  if (known !== undefined) return known;
  const opened = open({ context, undo: context.undo, now: () => context.timers.wallClock }, declaration);
  context.stores.set(declaration.name, opened);
  return opened;
}
