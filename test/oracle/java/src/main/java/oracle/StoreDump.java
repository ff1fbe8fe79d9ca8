package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.VersionedKeyValueStore;
import org.apache.kafka.streams.state.VersionedRecord;
import org.apache.kafka.streams.state.WindowStore;

/** What queries see of the stores that a case names. */
final class StoreDump {
  private static final Comparator<ObjectNode> ORDER = Comparator.<ObjectNode, String>comparing(row -> row.get("key").asText())
      .thenComparing(row -> row.path("start").asLong())
      .thenComparing(row -> row.path("end").asLong());
  private final TopologyTestDriver driver;
  private final JsonNode test;

  StoreDump(TopologyTestDriver driver, JsonNode test) {
    this.driver = driver;
    this.test = test;
  }

  ObjectNode all(Map<String, String> stores) {
    ObjectNode dumps = Json.MAPPER.createObjectNode();
    for (var store : stores.entrySet()) dumps.set(store.getKey(), store.getValue() == null ? entries(store.getKey()) : versions(store.getKey(), store.getValue()));
    return dumps;
  }

  private static ObjectNode row(String key, Object value) {
    ObjectNode row = Json.MAPPER.createObjectNode();
    row.put("key", key);
    row.set("value", Json.MAPPER.valueToTree(value));
    return row;
  }

  private static ObjectNode row(Windowed<?> window, Object value) {
    ObjectNode row = row((String) window.key(), value);
    row.put("start", window.window().start());
    row.put("end", window.window().end());
    return row;
  }

  private ObjectNode entries(String name) {
    List<ObjectNode> rows = new ArrayList<>();
    StateStore store = driver.getAllStateStores().get(name);
    String type;
    if (store instanceof SessionStore<?, ?>) {
      type = "session";
      try (var found = driver.<Object, Object>getSessionStore(name).fetch(null, null)) {
        found.forEachRemaining(entry -> rows.add(row(entry.key, entry.value)));
      }
    } else if (store instanceof WindowStore<?, ?>) {
      type = "window";
      try (var found = driver.<Object, Object>getTimestampedWindowStore(name).all()) {
        found.forEachRemaining(entry -> rows.add(row(entry.key, entry.value.value()).put("ts", entry.value.timestamp())));
      }
    } else {
      type = "kv";
      try (var found = driver.<Object, Object>getTimestampedKeyValueStore(name).all()) {
        found.forEachRemaining(entry -> rows.add(row((String) entry.key, entry.value.value()).put("ts", entry.value.timestamp())));
      }
    }
    rows.sort(ORDER);
    ObjectNode dump = Json.MAPPER.createObjectNode();
    dump.put("type", type);
    ArrayNode entries = dump.putArray("entries");
    rows.forEach(entries::add);
    return dump;
  }

  /** The latest of each key that the topic brought, and a look at each moment at which it brought one. */
  private ObjectNode versions(String name, String topic) {
    VersionedKeyValueStore<String, Object> store = driver.getVersionedKeyValueStore(name);
    TreeMap<String, TreeSet<Long>> moments = new TreeMap<>();
    for (JsonNode input : test.get("inputs")) {
      if (!input.path("topic").asText().equals(topic) || input.get("key").isNull()) continue;
      moments.computeIfAbsent(input.get("key").asText(), key -> new TreeSet<>()).add(input.get("ts").asLong());
    }
    ObjectNode dump = Json.MAPPER.createObjectNode();
    dump.put("type", "versioned");
    ArrayNode latest = dump.putArray("latest");
    ArrayNode past = dump.putArray("asOf");
    moments.forEach((key, times) -> {
      VersionedRecord<Object> now = store.get(key);
      if (now != null) latest.add(row(key, now.value()).put("ts", now.timestamp()));
      for (long time : times) {
        VersionedRecord<Object> then = store.get(key, time);
        ObjectNode row = row(key, then == null ? null : then.value());
        row.put("asOf", time);
        row.put("ts", then == null ? null : then.timestamp());
        row.put("validTo", then == null ? null : then.validTo().orElse(null));
        past.add(row);
      }
    });
    return dump;
  }
}
