import type { Wire, WireConnection } from "../wire.ts";
import { decodeFetch, decodeProduce, encodeFetch, encodeProduce, FETCH, PRODUCE } from "../wire-protocol/records.ts";
import { administration } from "./administration.ts";
import { connectPlatformatic } from "./connect.ts";
import type { PlatformaticLink } from "./connect.ts";
import { groups } from "./group.ts";
import { topics } from "./topic.ts";
import { transactions } from "./transaction.ts";

/** Answers may come this much later than the broker was asked to wait for something at most. */
const ANSWER_MARGIN_MS = 1_000;

/** Kafka through @platformatic/kafka: its connections and its requests, none of its producers, consumers and retries. */
export function platformaticWire(): Wire {
  return {
    name: "platformatic",
    connect: async (address, options) => connectionOf(await connectPlatformatic(address, options)),
  };
}

function connectionOf(platformatic: PlatformaticLink): WireConnection {
  const { link, requestTimeoutMs } = platformatic;
  return {
    get isOpen() {
      return link.isOpen;
    },
    onClose: (listener) => link.onClose(listener),
    close: async () => link.close("closed"),
    produce: (request) => platformatic.askOwn(PRODUCE, encodeProduce(request), decodeProduce, Math.max(requestTimeoutMs, request.timeoutMs + ANSWER_MARGIN_MS)),
    fetch: (request) => platformatic.askOwn(FETCH, [encodeFetch(request)], decodeFetch, requestTimeoutMs + request.maxWaitMs),
    ...topics(platformatic),
    ...transactions(platformatic),
    ...groups(platformatic),
    ...administration(platformatic),
  };
}
