import { TopologyError } from "../model/index.ts";
import { boundCure, type Plan, stepsBoundToOnePartition, type SubTopology } from "../plan/index.ts";

/** The one number of partitions that a part's topics have. Throws TOPIC_MISMATCH where they differ, or where the part's state cannot be split over so many. */
export function agreedCount(part: SubTopology, counts: readonly number[]): number {
  const place = part.topics.join(", ");
  const [count = 1] = counts;
  if (counts.some((other) => other !== count)) {
    throw new TopologyError("TOPIC_MISMATCH", `the topics of sub-topology ${part.name} have different numbers of partitions (${counts.join(", ")})`, {
      place,
      cure: "topics that are read together need the same number of partitions: let one stream go through .repartition(...), whose topic gets the other's number",
    });
  }
  const bound = count > 1 ? stepsBoundToOnePartition(part) : [];
  if (bound.length === 0) return count;
  throw new TopologyError("TOPIC_MISMATCH", `with ${count} partitions, ${bound.join(" and ")} would keep separate state in each, and results would be wrong`, {
    place,
    cure: boundCure(part),
  });
}

/** Throws TOPIC_MISMATCH where a part's topics that exist have another number of partitions than a repartition asks for that is read with them, or that is one of them. */
export function checkAskedCount(plan: Plan, part: SubTopology, existing: number | undefined): void {
  if (existing === undefined) return;
  const asked = plan.internalTopics.find(({ readBy, partitions }) => readBy === part.name && partitions !== undefined && partitions !== existing);
  if (asked === undefined) return;
  throw new TopologyError("TOPIC_MISMATCH", `the repartition ${asked.name} asks for ${asked.partitions} partitions, and the topics that exist of sub-topology ${part.name} have ${existing}`, {
    place: asked.topic,
    cure: `ask for ${existing}, or for none; for another number give the repartition another name, and read no topic together with it that has ${existing}`,
  });
}
