import { TopologyError } from "../model/index.ts";
import { boundCure, stepsBoundToOnePartition, type SubTopology } from "../plan/index.ts";

/** The one number of partitions that a part's topics have. Throws TOPIC_MISMATCH where they differ, or where the part's state cannot be split over so many. */
export function agreedCount(part: SubTopology, counts: readonly number[]): number {
  const place = part.topics.join(", ");
  const [count = 1] = counts;
  if (counts.some((other) => other !== count)) {
    throw new TopologyError("TOPIC_MISMATCH", `the topics of sub-topology ${part.name} have different numbers of partitions (${counts.join(", ")})`, {
      place,
      cure: "topics that are read together need the same number of partitions",
    });
  }
  const bound = count > 1 ? stepsBoundToOnePartition(part) : [];
  if (bound.length === 0) return count;
  throw new TopologyError("TOPIC_MISMATCH", `with ${count} partitions, ${bound.join(" and ")} would keep separate state in each, and results would be wrong`, {
    place,
    cure: boundCure(part),
  });
}
