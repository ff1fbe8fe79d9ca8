package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.function.BinaryOperator;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyConfig;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.state.Stores;

/** A case's topology by Kafka Streams' own language. Handles are of many types, so the types of their values are left out. */
@SuppressWarnings({"unchecked", "rawtypes"})
final class CaseTopology {
  private static final Serde KEY = Serdes.String();
  private static final Serde VALUE = Json.serde();
  private static final Serde COUNT = Serdes.Long();
  private static final ValueJoiner JOIN = Vocabulary::joined;

  final Set<String> inputs = new LinkedHashSet<>();
  final Set<String> outputs = new LinkedHashSet<>();
  /** The stores that a case names, with the topic of those that keep versions. */
  final Map<String, String> stores = new LinkedHashMap<>();
  final Topology topology;
  private final StreamsBuilder builder;
  private final Serde sinkKeys;
  private final Map<String, Object> handles = new HashMap<>();

  CaseTopology(JsonNode nodes, Properties properties, Serde sinkKeys) {
    this.sinkKeys = sinkKeys;
    builder = new StreamsBuilder(new TopologyConfig(new StreamsConfig(properties)));
    for (JsonNode node : nodes) {
      Object made = make(node);
      if (made != null && node.has("id")) handles.put(text(node, "id"), made);
      if (node.has("store")) stores.put(text(node, "store"), node.has("historyMs") ? text(node, "topic") : null);
    }
    topology = builder.build(properties);
  }

  private static String text(JsonNode node, String field) {
    if (!node.has(field)) throw new IllegalArgumentException("a step lacks " + field + ": " + node);
    return node.get(field).asText();
  }

  private static Duration ms(JsonNode node, String field) {
    return Duration.ofMillis(node.get(field).asLong());
  }

  private <T> T handle(JsonNode node, String field) {
    Object found = handles.get(text(node, field));
    if (found == null) throw new IllegalArgumentException("nothing is called " + node.get(field));
    return (T) found;
  }

  private KStream stream(JsonNode node, String field) {
    return this.<KStream>handle(node, field);
  }

  private KTable table(JsonNode node, String field) {
    return this.<KTable>handle(node, field);
  }

  private static Materialized kept(JsonNode node, Serde values) {
    Materialized materialized = node.has("store") ? Materialized.as(text(node, "store")).withKeySerde(KEY).withValueSerde(values) : Materialized.with(KEY, values);
    return node.has("retentionMs") ? materialized.withRetention(ms(node, "retentionMs")) : materialized;
  }

  private Object make(JsonNode node) {
    return switch (text(node, "op")) {
      case "stream" -> builder.stream(input(node), Consumed.with(KEY, VALUE));
      case "table" -> builder.table(input(node), Consumed.with(KEY, VALUE), node.has("historyMs") ? versions(node) : kept(node, VALUE));
      case "globalTable" -> builder.globalTable(input(node), Consumed.with(KEY, VALUE), kept(node, VALUE));
      case "filter", "filterNot" -> filter(node);
      case "mapValues" -> mapValues(node);
      case "map" -> {
        var map = Vocabulary.records(text(node, "fn"));
        yield stream(node, "in").map((key, value) -> map.of((String) key, value));
      }
      case "flatMap" -> {
        var map = Vocabulary.several(text(node, "fn"));
        yield stream(node, "in").flatMap((key, value) -> map.of((String) key, value));
      }
      case "flatMapValues" -> {
        var map = Vocabulary.severalValues(text(node, "fn"));
        yield stream(node, "in").flatMapValues(value -> map.of(null, value));
      }
      case "selectKey" -> {
        var map = Vocabulary.keys(text(node, "fn"));
        yield stream(node, "in").selectKey((key, value) -> map.of((String) key, value));
      }
      case "split" -> split(node);
      case "merge" -> {
        KStream merged = null;
        for (JsonNode id : node.get("ins")) {
          KStream next = (KStream) handles.get(id.asText());
          merged = merged == null ? next : merged.merge(next);
        }
        yield merged;
      }
      case "repartition" -> stream(node, "in").repartition(Repartitioned.with(KEY, VALUE).withName(text(node, "name")));
      case "toTable" -> stream(node, "in").toTable(kept(node, VALUE));
      case "toStream" -> table(node, "in").toStream();
      case "groupByKey" -> stream(node, "in").groupByKey(Grouped.with(KEY, VALUE));
      case "groupBy" -> groupBy(node);
      case "windowedBy" -> windowed(node, handle(node, "in"));
      case "count" -> count(node, handle(node, "in"));
      case "reduce" -> reduce(node, handle(node, "in"));
      case "aggregate" -> aggregate(node, handle(node, "in"));
      case "cogroup" -> {
        CogroupedKStream grouped = null;
        for (JsonNode part : node.get("parts")) {
          BinaryOperator<Object> add = Vocabulary.aggregation(text(part, "fn")).add();
          KGroupedStream next = this.<KGroupedStream>handle(part, "in");
          Aggregator aggregator = (key, value, total) -> add.apply(total, value);
          grouped = grouped == null ? next.cogroup(aggregator) : grouped.cogroup(next, aggregator);
        }
        yield grouped;
      }
      case "suppress" -> table(node, "in").suppress(suppressed(node));
      case "streamStreamJoin" -> streamJoin(node);
      case "streamTableJoin" -> {
        Joined joined = node.has("graceMs") ? Joined.with(KEY, VALUE, VALUE).withGracePeriod(ms(node, "graceMs")) : Joined.with(KEY, VALUE, VALUE);
        KStream left = stream(node, "left");
        yield isInner(node) ? left.join(table(node, "right"), JOIN, joined) : left.leftJoin(table(node, "right"), JOIN, joined);
      }
      case "streamGlobalTableJoin" -> {
        var map = Vocabulary.keys(text(node, "fn"));
        KeyValueMapper key = (k, value) -> map.of((String) k, value);
        GlobalKTable right = this.<GlobalKTable>handle(node, "right");
        yield isInner(node) ? stream(node, "left").join(right, key, JOIN) : stream(node, "left").leftJoin(right, key, JOIN);
      }
      case "tableTableJoin" -> tableJoin(node);
      case "foreignKeyJoin" -> {
        java.util.function.Function key = Vocabulary::reference;
        yield isInner(node)
            ? table(node, "left").join(table(node, "right"), key, JOIN, kept(node, VALUE))
            : table(node, "left").leftJoin(table(node, "right"), key, JOIN, kept(node, VALUE));
      }
      case "punctuator" -> stream(node, "in").process(() -> new Punctuating(node));
      case "to" -> {
        Object from = handle(node, "in");
        outputs.add(text(node, "topic"));
        (from instanceof KTable table ? table.toStream() : (KStream) from).to(text(node, "topic"), Produced.with(sinkKeys, VALUE));
        yield null;
      }
      default -> throw new IllegalArgumentException("no step is called " + text(node, "op"));
    };
  }

  private String input(JsonNode node) {
    inputs.add(text(node, "topic"));
    return text(node, "topic");
  }

  private static Materialized versions(JsonNode node) {
    return Materialized.as(Stores.persistentVersionedKeyValueStore(text(node, "store"), ms(node, "historyMs"))).withKeySerde(KEY).withValueSerde(VALUE);
  }

  private static boolean isInner(JsonNode node) {
    return text(node, "type").equals("inner");
  }

  private Object filter(JsonNode node) {
    var holds = Vocabulary.predicate(text(node, "pred"));
    boolean wanted = text(node, "op").equals("filter");
    Predicate predicate = (key, value) -> holds.of((String) key, value) == wanted;
    if (handle(node, "in") instanceof KStream stream) return stream.filter(predicate);
    return node.has("store") ? table(node, "in").filter(predicate, kept(node, VALUE)) : table(node, "in").filter(predicate);
  }

  private Object mapValues(JsonNode node) {
    var map = Vocabulary.values(text(node, "fn"));
    ValueMapper mapper = map::apply;
    if (handle(node, "in") instanceof KStream stream) return stream.mapValues(mapper);
    return node.has("store") ? table(node, "in").mapValues(mapper, kept(node, VALUE)) : table(node, "in").mapValues(mapper);
  }

  private Object split(JsonNode node) {
    BranchedKStream branches = stream(node, "in").split();
    for (JsonNode branch : node.get("branches")) {
      var holds = Vocabulary.predicate(text(branch, "pred"));
      Predicate predicate = (key, value) -> holds.of((String) key, value);
      branches = branches.branch(predicate, kept(text(branch, "id")));
    }
    if (node.has("default")) branches.defaultBranch(kept(text(node, "default")));
    else branches.noDefaultBranch();
    return null;
  }

  private Branched kept(String id) {
    return Branched.<Object, Object>withConsumer(made -> handles.put(id, made));
  }

  private Object groupBy(JsonNode node) {
    if (handle(node, "in") instanceof KStream stream) {
      var map = Vocabulary.keys(text(node, "fn"));
      return stream.groupBy((key, value) -> map.of((String) key, value), Grouped.with(KEY, VALUE));
    }
    var map = Vocabulary.records(text(node, "fn"));
    return table(node, "in").groupBy((key, value) -> map.of((String) key, value), Grouped.with(KEY, VALUE));
  }

  private static Object windowed(JsonNode node, Object group) {
    JsonNode window = node.get("window");
    Duration grace = ms(window, "graceMs");
    boolean onClose = node.has("emit");
    switch (text(window, "type")) {
      case "session" -> {
        SessionWindows sessions = SessionWindows.ofInactivityGapAndGrace(ms(window, "gapMs"), grace);
        if (group instanceof CogroupedKStream cogroup) return cogroup.windowedBy(sessions);
        SessionWindowedKStream made = ((KGroupedStream) group).windowedBy(sessions);
        return onClose ? made.emitStrategy(EmitStrategy.onWindowClose()) : made;
      }
      case "sliding" -> {
        SlidingWindows sliding = SlidingWindows.ofTimeDifferenceAndGrace(ms(window, "timeDifferenceMs"), grace);
        if (group instanceof CogroupedKStream cogroup) return cogroup.windowedBy(sliding);
        TimeWindowedKStream made = ((KGroupedStream) group).windowedBy(sliding);
        return onClose ? made.emitStrategy(EmitStrategy.onWindowClose()) : made;
      }
      default -> {
        TimeWindows windows = TimeWindows.ofSizeAndGrace(ms(window, "sizeMs"), grace);
        if (window.has("advanceMs")) windows = windows.advanceBy(ms(window, "advanceMs"));
        if (group instanceof CogroupedKStream cogroup) return cogroup.windowedBy(windows);
        TimeWindowedKStream made = ((KGroupedStream) group).windowedBy(windows);
        return onClose ? made.emitStrategy(EmitStrategy.onWindowClose()) : made;
      }
    }
  }

  private static Object count(JsonNode node, Object group) {
    Materialized store = kept(node, COUNT);
    if (group instanceof KGroupedStream stream) return stream.count(store);
    if (group instanceof KGroupedTable table) return table.count(store);
    return group instanceof SessionWindowedKStream sessions ? sessions.count(store) : ((TimeWindowedKStream) group).count(store);
  }

  private static Object reduce(JsonNode node, Object group) {
    Reducer add = Vocabulary.reducer(text(node, "fn"))::apply;
    Materialized store = kept(node, VALUE);
    if (group instanceof KGroupedStream stream) return stream.reduce(add, store);
    if (group instanceof KGroupedTable table) return table.reduce(add, Vocabulary.reducer(text(node, "subtractFn"))::apply, store);
    return group instanceof SessionWindowedKStream sessions ? sessions.reduce(add, store) : ((TimeWindowedKStream) group).reduce(add, store);
  }

  private static Object aggregate(JsonNode node, Object group) {
    Vocabulary.Aggregation parts = Vocabulary.aggregation(text(node, "fn"));
    Initializer initial = parts::initial;
    Aggregator add = (key, value, total) -> parts.add().apply(total, value);
    Merger merge = (key, left, right) -> parts.merge().apply(left, right);
    Materialized store = kept(node, VALUE);
    if (group instanceof KGroupedStream stream) return stream.aggregate(initial, add, store);
    if (group instanceof KGroupedTable table) return table.aggregate(initial, add, (key, value, total) -> parts.subtract().apply(total, value), store);
    if (group instanceof SessionWindowedKStream sessions) return sessions.aggregate(initial, add, merge, store);
    if (group instanceof CogroupedKStream cogroup) return cogroup.aggregate(initial, store);
    if (group instanceof TimeWindowedCogroupedKStream cogroup) return cogroup.aggregate(initial, store);
    if (group instanceof SessionWindowedCogroupedKStream cogroup) return cogroup.aggregate(initial, merge, store);
    return ((TimeWindowedKStream) group).aggregate(initial, add, store);
  }

  private static Suppressed suppressed(JsonNode node) {
    if (text(node, "until").equals("windowCloses")) return Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded());
    Suppressed.BufferConfig buffer = node.has("maxRecords") ? Suppressed.BufferConfig.maxRecords(node.get("maxRecords").asLong()).emitEarlyWhenFull() : Suppressed.BufferConfig.unbounded();
    return Suppressed.untilTimeLimit(ms(node, "limitMs"), buffer);
  }

  private Object streamJoin(JsonNode node) {
    Duration before = ms(node, "beforeMs");
    Duration after = ms(node, "afterMs");
    Duration widest = Duration.ofMillis(Math.max(Math.abs(before.toMillis()), Math.abs(after.toMillis())));
    JoinWindows windows = JoinWindows.ofTimeDifferenceAndGrace(widest, ms(node, "graceMs")).before(before).after(after);
    KStream left = stream(node, "left");
    KStream right = stream(node, "right");
    StreamJoined joined = StreamJoined.with(KEY, VALUE, VALUE);
    return switch (text(node, "type")) {
      case "inner" -> left.join(right, JOIN, windows, joined);
      case "left" -> left.leftJoin(right, JOIN, windows, joined);
      default -> left.outerJoin(right, JOIN, windows, joined);
    };
  }

  private Object tableJoin(JsonNode node) {
    KTable left = table(node, "left");
    KTable right = table(node, "right");
    Materialized store = node.has("store") ? kept(node, VALUE) : null;
    return switch (text(node, "type")) {
      case "inner" -> store == null ? left.join(right, JOIN) : left.join(right, JOIN, store);
      case "left" -> store == null ? left.leftJoin(right, JOIN) : left.leftJoin(right, JOIN, store);
      default -> store == null ? left.outerJoin(right, JOIN) : left.outerJoin(right, JOIN, store);
    };
  }
}
