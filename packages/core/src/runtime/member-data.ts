/**
 * What members of a group tell each other, as JSON in the group protocol's user data. It crosses versions of this library, so that unknown fields are left
 * alone and missing ones have a meaning.
 */
import { join } from "node:path";
import type { StateDisk } from "../state/state-disk.ts";
import type { AssignmentMember } from "./assignment.ts";

/** What a member tells the leader. */
export interface MemberClaim {
  readonly format: 1;
  /** Where its interactive queries are answered. */
  readonly url: string | null;
  /** The topology's version and shape: members with others cannot share tasks. */
  readonly version: number;
  readonly shape: string;
  readonly active: readonly string[];
  readonly stored: Readonly<Record<string, number>>;
}

/** What the leader tells a member. */
export interface MemberDuty {
  readonly format: 1;
  readonly active: readonly string[];
  readonly standby: readonly string[];
  /** Tasks that this member runs and should give up, whose new owner gets them in the next generation. */
  readonly moving: readonly string[];
  /** Who answers for each task. */
  readonly owners: Readonly<Record<string, string | null>>;
  /** Why nothing was assigned, where the members cannot work together. */
  readonly problem?: string;
}

export function encodeMemberData(data: MemberClaim | MemberDuty): Buffer {
  return Buffer.from(JSON.stringify(data));
}

/** Undefined where it is nobody's of this library. */
export function decodeClaim(data: Buffer): MemberClaim | undefined {
  try {
    const claim = JSON.parse(data.toString()) as MemberClaim;
    return Array.isArray(claim.active) && typeof claim.stored === "object" ? claim : undefined;
  } catch {
    return undefined;
  }
}

export function decodeDuty(data: Buffer): MemberDuty {
  return data.length === 0 ? { format: 1, active: [], standby: [], moving: [], owners: {} } : (JSON.parse(data.toString()) as MemberDuty);
}

/** A claim as the assignment sees it. */
export function assignmentMember(memberId: string, claim: MemberClaim): AssignmentMember {
  return { memberId, active: claim.active, stored: claim.stored };
}

const FILE = "member.json";

/** The id under which this folder's process last was in the group, if it did not leave it. */
export async function readFormerMember(disk: StateDisk, dir: string | null): Promise<string | undefined> {
  if (dir === null) return undefined;
  const note = await disk.readNote(join(dir, FILE));
  try {
    const { memberId } = JSON.parse(note ?? "{}") as { memberId?: unknown };
    return typeof memberId === "string" && memberId !== "" ? memberId : undefined;
  } catch {
    // A note that a crash cut off: then the session of the former self has to end by itself.
    return undefined;
  }
}

export async function writeMember(disk: StateDisk, dir: string | null, memberId: string): Promise<void> {
  if (dir !== null) await disk.writeNote(join(dir, FILE), JSON.stringify({ memberId }));
}

export async function forgetMember(disk: StateDisk, dir: string | null): Promise<void> {
  if (dir !== null) await disk.removeNote(join(dir, FILE));
}
