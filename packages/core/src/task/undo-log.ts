/** How to take back what one call of a user's function has changed. */
export class UndoLog {
  readonly #undo: (() => void)[] = [];
  #isOn = false;

  /** Whether changes are to be noted: only while a call runs whose failure does not end the task. */
  get isOn(): boolean {
    return this.#isOn;
  }

  begin(): void {
    this.#isOn = true;
    this.#undo.length = 0;
  }

  /** Notes how to undo the change that is about to be made. */
  note(undo: () => void): void {
    if (this.#isOn) this.#undo.push(undo);
  }

  /** The call is through. */
  end(): void {
    this.#isOn = false;
    this.#undo.length = 0;
  }

  /** Undoes everything, the last change first. */
  rollBack(): void {
    this.#isOn = false;
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) undo();
  }
}

/** What a store's changes are made of. */
interface Primitive<V> {
  get(key: string): V | undefined;
  put(key: string, value: V): void;
  delete(key: string): void;
}

/** Sets a key's value, or deletes it, in a way that can be undone. */
export function set<V>(undo: UndoLog, table: Primitive<V>, key: string, value: V | undefined): void {
  if (undo.isOn) {
    const old = table.get(key);
    undo.note(() => (old === undefined ? table.delete(key) : table.put(key, old)));
  }
  if (value === undefined) table.delete(key);
  else table.put(key, value);
}
