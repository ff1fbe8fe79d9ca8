import t from "tap";
import { assignTasks, type AssignmentMember } from "../../src/runtime/assignment.ts";

const TASKS = ["in_0", "in_1", "in_2", "in_3", "by-site_0", "by-site_1", "by-site_2", "by-site_3"];
const member = (memberId: string, active: readonly string[] = []): AssignmentMember => ({ memberId, active, stored: {} });
const parts = (tasks: readonly string[] = []): string => tasks.map((task) => task.slice(0, task.lastIndexOf("_"))).sort().join(" ");

t.test("a member that joins takes half of each part, and only what moves waits", (t) => {
  const { active, moving } = assignTasks(TASKS, [member("a", TASKS), member("b")], 0);
  t.equal(parts(active.get("a")), "by-site by-site in in");
  t.equal(parts(moving), "by-site by-site in in");
  t.same(active.get("b"), [], "what another still runs is nobody's yet");
  const next = assignTasks(TASKS, [member("a", active.get("a")), member("b")], 0);
  t.same(next.active.get("a"), active.get("a"), "what stays stays");
  t.same([...(next.active.get("b") ?? [])].sort(), [...moving].sort());
  t.same(next.moving, []);
  t.end();
});

t.test("members that have equal numbers of tasks keep them, whatever their parts", (t) => {
  const { active, moving } = assignTasks(TASKS, [member("a", TASKS.slice(0, 4)), member("b", TASKS.slice(4))], 0);
  t.same(active.get("a"), TASKS.slice(0, 4));
  t.same(active.get("b"), TASKS.slice(4));
  t.same(moving, []);
  t.end();
});

t.test("tasks of a member that is gone go to those that are left, each once", (t) => {
  const { active, moving } = assignTasks(TASKS, [member("a", TASKS.slice(0, 3)), member("b", TASKS.slice(3, 6))], 0);
  t.same([...active.values()].flat().sort(), [...TASKS].sort());
  t.equal(active.get("a")?.length, 4);
  t.same(moving, []);
  t.end();
});
