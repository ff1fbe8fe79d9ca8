/** Freezes a value that a store keeps, so that a function that changes it in place throws instead of falsifying what is stored. Only plain objects and arrays can be frozen for sure, and they are not frozen inside. */
export function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === Array.prototype ? Object.freeze(value) : value;
}
