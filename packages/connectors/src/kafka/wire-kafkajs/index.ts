import type { Wire, WireConnection } from "../wire.ts";
import { decodeFetch, decodeProduce, encodeFetch, encodeProduce, FETCH, PRODUCE } from "../wire-protocol/records.ts";
import { administration } from "./administration.ts";
import { connectKafkajs } from "./connect.ts";
import type { KafkajsLink } from "./connect.ts";
import { groups } from "./group.ts";
import { topics } from "./topic.ts";
import { transactions } from "./transaction.ts";

/** Answers may come this much later than the broker was asked to wait for something at most. */
const ANSWER_MARGIN_MS = 1_000;

/** Kafka through kafkajs 2.2.4: its connections and its requests, none of its producers, consumers and retries. */
export function kafkajsWire(): Wire {
  return {
    name: "kafkajs",
    connect: async (address, options) => connectionOf(await connectKafkajs(address, options)),
  };
}

function connectionOf(kafkajs: KafkajsLink): WireConnection {
  const { link, requestTimeoutMs } = kafkajs;
  return {
    get isOpen() {
      return link.isOpen;
    },
    onClose: (listener) => link.onClose(listener),
    close: async () => link.close("closed"),
    produce: (request) => {
      const body = Buffer.concat(encodeProduce(request));
      return kafkajs.askOwn(PRODUCE, body, decodeProduce, Math.max(requestTimeoutMs, request.timeoutMs + ANSWER_MARGIN_MS));
    },
    fetch: (request) => kafkajs.askOwn(FETCH, encodeFetch(request), decodeFetch, requestTimeoutMs + request.maxWaitMs),
    ...topics(kafkajs),
    ...transactions(kafkajs),
    ...groups(kafkajs),
    ...administration(kafkajs),
  };
}
