/** Kafka's requests nest partitions in topics; the wire's are flat lists. */
export interface TopicGroup<Item> {
  readonly topic: string;
  readonly items: Item[];
}

/** The items under their topics, in the order of first appearance. */
export function groupByTopic<Item extends { readonly topic: string }>(items: readonly Item[]): TopicGroup<Item>[] {
  const groups = new Map<string, TopicGroup<Item>>();
  for (const item of items) {
    const group = groups.get(item.topic);
    if (group === undefined) groups.set(item.topic, { topic: item.topic, items: [item] });
    else group.items.push(item);
  }
  return [...groups.values()];
}
