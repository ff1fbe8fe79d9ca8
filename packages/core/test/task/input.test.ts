import t from "tap";
import { TaskInput } from "../../src/task/input.ts";
import { listRun } from "../../src/task/record-run.ts";

t.test("an answer that knows of less than was there before does not make an input look read", (t) => {
  const input = new TaskInput("names", 0, 0, 3, true);
  input.offer(listRun([]), 0, 0);
  t.equal(input.isAtEnd, false);
  t.equal(input.lag, 3);
  const record = (offset: number) => ({ topic: "names", partition: 0, offset, timestamp: 0, key: null, value: null, headers: [] });
  input.offer(listRun([record(0), record(1), record(2)]), 3, 3);
  for (let offset = 0; offset < 3; offset++) {
    t.equal(input.head?.offset, offset);
    t.equal(input.position, offset);
    input.advance();
  }
  t.ok(input.isAtEnd);
  input.offer(listRun([]), 3, 2);
  t.equal(input.endOffset, 3);
  t.end();
});
