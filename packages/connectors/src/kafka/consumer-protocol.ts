/**
 * What members and leader of a group say to each other through the coordinator: Kafka's consumer protocol, so that Kafka's own tools show who reads what.
 * The engine's part stands in the user data. Big-endian.
 *
 *   subscription := version i16 = 2 | topic* | user data | owned (topic, partition*)* = none | generation i32
 *   assignment   := version i16 = 1 | (topic, partition i32*)* | user data
 *   x*           := count i32 | x ...        topic := length i16 | UTF-8        user data := length i32 (-1: null) | bytes
 */
import type { GroupAssignment } from "@iot-topology/core";

const SUBSCRIPTION_VERSION = 2;
const ASSIGNMENT_VERSION = 1;
const EMPTY = Buffer.alloc(0);

class Writer {
  readonly #parts: Buffer[] = [];

  i16(value: number): this {
    const part = Buffer.alloc(2);
    part.writeInt16BE(value);
    this.#parts.push(part);
    return this;
  }
  i32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeInt32BE(value);
    this.#parts.push(part);
    return this;
  }
  text(value: string): this {
    const bytes = Buffer.from(value);
    this.i16(bytes.length).#parts.push(bytes);
    return this;
  }
  sized(value: Buffer): this {
    this.i32(value.length).#parts.push(value);
    return this;
  }
  end(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** Throws a RangeError past the end, as Buffer's methods do. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  i16(): number {
    this.#at += 2;
    return this.#bytes.readInt16BE(this.#at - 2);
  }
  i32(): number {
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }
  text(): string {
    const length = this.i16();
    this.#at += length;
    if (length < 0 || this.#at > this.#bytes.length) throw new RangeError("a text passes the end");
    return this.#bytes.toString("utf8", this.#at - length, this.#at);
  }
  sized(): Buffer {
    const length = this.i32();
    if (length <= 0) return EMPTY;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new RangeError("bytes pass the end");
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
  list<T>(read: () => T): T[] {
    const count = this.i32();
    if (count > this.#bytes.length) throw new RangeError("a list passes the end");
    const all: T[] = [];
    for (let index = 0; index < count; index++) all.push(read());
    return all;
  }
}

/**
 * What a member tells: the topics of the group, the engine's words, and the generation it comes from. A coordinator answers a member that joins again and says
 * the same as before with the generation that stands; the number is what makes it begin a new one.
 */
export function encodeSubscription(topics: readonly string[], userData: Buffer, generation: number): Buffer {
  const writer = new Writer().i16(SUBSCRIPTION_VERSION).i32(topics.length);
  for (const topic of topics) writer.text(topic);
  return writer.sized(userData).i32(0).i32(generation).end();
}

/** The user data of a member's subscription. Throws a RangeError on what is none. */
export function subscriptionUserData(bytes: Buffer): Buffer {
  const reader = new Reader(bytes);
  reader.i16();
  reader.list(() => reader.text());
  return reader.sized();
}

/** What the leader gives a member. */
export function encodeAssignment(assignment: GroupAssignment): Buffer {
  const topics = Object.entries(assignment.partitions);
  const writer = new Writer().i16(ASSIGNMENT_VERSION).i32(topics.length);
  for (const [topic, partitions] of topics) {
    writer.text(topic).i32(partitions.length);
    for (const partition of partitions) writer.i32(partition);
  }
  return writer.sized(assignment.userData).end();
}

/** The same read back; nothing for a member that the leader did not know. */
export function decodeAssignment(bytes: Buffer): GroupAssignment {
  if (bytes.length === 0) return { partitions: {}, userData: EMPTY };
  const reader = new Reader(bytes);
  reader.i16();
  const topics = reader.list(() => [reader.text(), reader.list(() => reader.i32())] as const);
  return { partitions: Object.fromEntries(topics), userData: reader.sized() };
}
