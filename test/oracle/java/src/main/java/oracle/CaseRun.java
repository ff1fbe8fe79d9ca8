package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Windowed;

/** One case through Kafka Streams' driver, with RocksDB stores and without caches. */
final class CaseRun {
  private final JsonNode test;
  /** The topics of records that were sent and not read back, in the order of sending: sinks serialize their keys as they send. */
  private final Deque<String> sent = new ArrayDeque<>();

  CaseRun(JsonNode test) {
    this.test = test;
  }

  private Serde<Object> sinkKeys() {
    Serializer<Object> serializer = (topic, key) -> {
      sent.add(topic);
      return Json.write(key instanceof Windowed<?> windowed ? windowKey(windowed) : key == null ? Json.MAPPER.nullNode() : key);
    };
    return Serdes.serdeFrom(serializer, (topic, bytes) -> Json.read(bytes));
  }

  private static Map<String, Object> windowKey(Windowed<?> windowed) {
    Map<String, Object> key = new LinkedHashMap<>();
    key.put("key", windowed.key());
    key.put("start", windowed.window().start());
    key.put("end", windowed.window().end());
    return key;
  }

  private Properties properties() {
    JsonNode config = test.get("topology").get("config");
    Properties properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "oracle-" + UUID.randomUUID());
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:1");
    properties.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("oracle.state", System.getProperty("java.io.tmpdir")));
    properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0");
    properties.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class.getName());
    properties.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Json.DefaultSerde.class.getName());
    long interval = config.path("emitIntervalMs").asLong();
    properties.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_WINDOWED_AGGREGATION, interval);
    properties.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_OUTER_JOIN_SPURIOUS_RESULTS_FIX, interval);
    return properties;
  }

  /** Adds what Kafka Streams made of the case to a copy of it. */
  ObjectNode run() {
    Properties properties = properties();
    JsonNode config = test.get("topology").get("config");
    CaseTopology built = new CaseTopology(test.get("topology").get("nodes"), properties, sinkKeys());
    ObjectNode result = test.deepCopy();
    ArrayNode outputs = result.putArray("outputs");
    try (TopologyTestDriver driver = new TopologyTestDriver(built.topology, properties, Instant.ofEpochMilli(config.path("initialWallClockMs").asLong()))) {
      Map<String, TestInputTopic<String, Object>> in = new HashMap<>();
      for (String topic : built.inputs) in.put(topic, driver.createInputTopic(topic, new StringSerializer(), (name, value) -> Json.write(value)));
      Map<String, TestOutputTopic<byte[], byte[]>> out = new HashMap<>();
      for (String topic : built.outputs) out.put(topic, driver.createOutputTopic(topic, new ByteArrayDeserializer(), new ByteArrayDeserializer()));
      int by = 0;
      for (JsonNode input : test.get("inputs")) {
        if (input.has("advanceWallClockMs")) driver.advanceWallClockTime(Duration.ofMillis(input.get("advanceWallClockMs").asLong()));
        else pipe(in, input);
        while (!sent.isEmpty()) read(outputs, out, sent.poll(), by);
        by++;
      }
      result.set("stores", new StoreDump(driver, test).all(built.stores));
      result.put("droppedRecords", dropped(driver));
    }
    return result;
  }

  private static void pipe(Map<String, TestInputTopic<String, Object>> in, JsonNode input) {
    Object value = Json.MAPPER.convertValue(input.get("value"), Object.class);
    in.get(input.get("topic").asText()).pipeInput(input.get("key").isNull() ? null : input.get("key").asText(), value, input.get("ts").asLong());
  }

  private static void read(ArrayNode outputs, Map<String, TestOutputTopic<byte[], byte[]>> out, String topic, int by) {
    var record = out.get(topic).readRecord();
    ObjectNode output = outputs.addObject();
    output.put("topic", topic);
    output.set("key", Json.MAPPER.valueToTree(Json.read(record.key())));
    output.set("value", Json.MAPPER.valueToTree(Json.read(record.value())));
    output.put("ts", record.timestamp());
    output.put("by", by);
  }

  private static long dropped(TopologyTestDriver driver) {
    double sum = 0;
    for (var metric : driver.metrics().entrySet()) {
      if (metric.getKey().name().equals("dropped-records-total")) sum += ((Number) metric.getValue().metricValue()).doubleValue();
    }
    return (long) sum;
  }
}
