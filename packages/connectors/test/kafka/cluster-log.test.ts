import t from "tap";
import { clusterLogContract } from "@iot-topology/core/testing";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { kafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";

t.setTimeout(240_000);

const kafka = await kafkaBrokers(t);
if (kafka !== undefined) {
  const { brokers } = kafka;
  for (const client of ["kafkajs", "platformatic"] as const) {
    clusterLogContract(
      (name, body) => t.test(`${client}: ${name}`, body),
      () => openKafkaLog({ brokers, client, clientId: "contract" }),
    );
  }
}
