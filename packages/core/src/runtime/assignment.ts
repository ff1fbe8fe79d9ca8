/**
 * Which member runs which task. A pure function of what the members say, called on the group's leader:
 *
 *   1 balance     every member gets as many tasks as the others, or one fewer
 *   2 stay        a task stays where it runs, then goes where its state is, as far as balance allows; where a member must give some up, it keeps some of each
 *                 part, since the parts of a topology differ in work
 *   3 hand over   a task that another member still runs is given to nobody first: its owner commits, closes it and asks for the next generation, so that
 *                 only tasks that move stand still
 *   4 standby     copies go to members that hold state of the task, then to those with the fewest
 */

/** What a member says of itself. */
export interface AssignmentMember {
  readonly memberId: string;
  readonly active: readonly string[];
  /** Tasks whose state it holds, and how far it is in their changelogs. */
  readonly stored: Readonly<Record<string, number>>;
}

/** What the leader decides. */
export interface Assignment {
  readonly active: ReadonlyMap<string, readonly string[]>;
  readonly standby: ReadonlyMap<string, readonly string[]>;
  /** Tasks that wait for their former owner to give them up. */
  readonly moving: readonly string[];
}

interface Load {
  readonly member: AssignmentMember;
  readonly tasks: string[];
  readonly standby: string[];
}

function partOf(task: string): string {
  return task.slice(0, task.lastIndexOf("_"));
}

/** How many tasks of the same part a member has: equal counts of each part are better balanced than equal counts. */
function sameParts(load: Load, task: string): number {
  return load.tasks.filter((other) => partOf(other) === partOf(task)).length;
}

function bestFor(task: string, loads: readonly Load[], room: (load: Load) => boolean): Load | undefined {
  let best: Load | undefined;
  for (const load of loads) {
    if (!room(load)) continue;
    if (best === undefined || compare(task, load, best) < 0) best = load;
  }
  return best;
}

function compare(task: string, a: Load, b: Load): number {
  const state = (b.member.stored[task] ?? -1) - (a.member.stored[task] ?? -1);
  return state || sameParts(a, task) - sameParts(b, task) || a.tasks.length - b.tasks.length || (a.member.memberId < b.member.memberId ? -1 : 1);
}

/** How many tasks of each part are a member's share. */
function partShares(tasks: readonly string[], memberCount: number): Map<string, number> {
  const shares = new Map<string, number>();
  for (const task of tasks) shares.set(partOf(task), (shares.get(partOf(task)) ?? 0) + 1);
  for (const [part, count] of shares) shares.set(part, Math.ceil(count / memberCount));
  return shares;
}

/** Who runs each task now; a task that two members claim (one is a zombie) belongs to nobody. */
function owners(members: readonly AssignmentMember[]): Map<string, string> {
  const owner = new Map<string, string>();
  const disputed = new Set<string>();
  for (const { memberId, active } of members) {
    for (const task of active) {
      if (owner.has(task)) disputed.add(task);
      owner.set(task, memberId);
    }
  }
  for (const task of disputed) owner.delete(task);
  return owner;
}

/** Assigns tasks to members. The same input gives the same answer, whatever the order of the members. */
export function assignTasks(tasks: readonly string[], given: readonly AssignmentMember[], standbyReplicas: number): Assignment {
  const members = [...given].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const loads = members.map((member): Load => ({ member, tasks: [], standby: [] }));
  if (loads.length === 0) return { active: new Map(), standby: new Map(), moving: [...tasks] };
  const owner = owners(members);
  const least = Math.floor(tasks.length / loads.length);
  let spare = tasks.length % loads.length;
  const byId = new Map(loads.map((load) => [load.member.memberId, load]));
  const free: string[] = [];
  const takes = (load: Load): boolean => load.tasks.length < least || (load.tasks.length === least && spare > 0);
  const give = (load: Load, task: string): void => {
    if (load.tasks.length === least) spare--;
    load.tasks.push(task);
  };
  const shares = partShares(tasks, loads.length);
  const beyondShare: string[] = [];
  for (const task of tasks) {
    const load = byId.get(owner.get(task) ?? "");
    if (load === undefined || !takes(load)) free.push(task);
    else if (sameParts(load, task) >= (shares.get(partOf(task)) as number)) beyondShare.push(task);
    else give(load, task);
  }
  for (const task of beyondShare) {
    const load = byId.get(owner.get(task) as string) as Load;
    if (takes(load)) give(load, task);
    else free.push(task);
  }
  const moving: string[] = [];
  for (const task of free) {
    const target = bestFor(task, loads, takes) as Load;
    give(target, task);
    const from = owner.get(task);
    if (from !== undefined && from !== target.member.memberId) moving.push(task);
  }
  assignStandby(tasks, loads, standbyReplicas);
  const waits = new Set(moving);
  return {
    active: new Map(loads.map((load) => [load.member.memberId, load.tasks.filter((task) => !waits.has(task))])),
    standby: new Map(loads.map((load) => [load.member.memberId, load.standby])),
    moving,
  };
}

function assignStandby(tasks: readonly string[], loads: readonly Load[], replicas: number): void {
  for (const task of tasks) {
    const others = loads.filter((load) => !load.tasks.includes(task));
    others.sort((a, b) => (b.member.stored[task] ?? -1) - (a.member.stored[task] ?? -1) || a.standby.length - b.standby.length);
    for (const load of others.slice(0, replicas)) load.standby.push(task);
  }
}
