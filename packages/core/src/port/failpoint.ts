/**
 * Named failpoints: the places where a fault test kills the process. Unarmed, a failpoint costs one comparison.
 * Armed by `armFailpoints("commit.before-write=3")` (the third time it is reached), which the CLI does from `IOT_TOPOLOGY_FAILPOINT`.
 */
let armed: Map<string, number> | undefined;
let armedSpec: string | undefined;
let onHit: (name: string) => void = (name) => {
  process.stderr.write(`failpoint ${name}\n`);
  process.kill(process.pid, "SIGKILL");
};

/** Arms failpoints: `name=N,name=N`; at the N-th passage of the name the process kills itself with SIGKILL, or `action` is called. */
export function armFailpoints(spec: string, action?: (name: string) => void): void {
  armed = new Map();
  armedSpec = spec;
  for (const part of spec.split(",")) {
    const [name, count] = part.split("=");
    if (name !== undefined && name !== "") armed.set(name, Number(count ?? "1"));
  }
  if (action !== undefined) onHit = action;
}

/** Disarms all. */
export function disarmFailpoints(): void {
  armed = undefined;
  armedSpec = undefined;
}

/** What was armed, so that threads can arm the same: each counts for itself. */
export function armedFailpoints(): string | undefined {
  return armedSpec;
}

/** Marks a place in a protocol. */
export function failpoint(name: string): void {
  if (armed === undefined) return;
  const left = armed.get(name);
  if (left === undefined) return;
  if (left > 1) {
    armed.set(name, left - 1);
    return;
  }
  armed.delete(name);
  onHit(name);
}
