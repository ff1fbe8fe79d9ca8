import t from "tap";
import { ByteReader, ByteWriter, c, readFrame, record, topic } from "@iot-topology/core";

const Reading = record("Reading", { device: c.string() });

t.test("a record in a topic is as old as its event, but never newer than its load nor from before 1970", (t) => {
  const encode = topic("out", Reading).encoder();
  for (const [eventTime, loadTime, written] of [[1_000, 5_000, 1_000], [9_000, 5_000, 5_000], [Date.UTC(2099, 0, 1), 5_000, 5_000], [-7, 5_000, 0]] as const) {
    const writer = new ByteWriter(64);
    encode(writer, { device: "d" }, { topic: "in", partition: 0, offset: 0, index: 0, loadTime }, "d", eventTime, []);
    t.equal(readFrame(new ByteReader(writer.buffer)).timestamp, written, `event ${eventTime}, load ${loadTime}`);
  }
  t.end();
});
