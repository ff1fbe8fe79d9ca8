/** Names that may become tables, views, columns and databases. Anything else is refused, not escaped. */
const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/;

/** Whether a name may be used: letters, digits and `_`, no digit first, at most 100. */
export function isIdentifier(name: string): boolean {
  return IDENTIFIER.test(name);
}

/** A name in backquotes. */
export function quoted(name: string): string {
  return `\`${name.replaceAll("\\", "\\\\").replaceAll("`", "\\`")}\``;
}

/** Names in backquotes behind commas. */
export function quotedList(names: readonly string[]): string {
  return names.map(quoted).join(", ");
}

/** A text literal. Only for declarations (types, comments); data goes as a parameter. */
export function literal(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
