package peer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What measures both sides in the same way, with Apache's own client and from outside:
 *
 * <pre>
 * topics BROKERS PARTITIONS TOPIC...         creates topics
 * preload BROKERS TOPIC                      produces standard input's lines, `time TAB key TAB value`
 * watch BROKERS GROUP TOPIC                  prints `COMMITTED time sum` whenever the group's offsets have moved
 * load BROKERS IN OUT RATE SECONDS WARMUP BASE  produces readings at a steady rate and reads OUT read_committed: `R time count` a batch, and latencies at the end
 * check BROKERS CLEAN MINUTE                 reads both outputs read_committed and says what is in them
 * </pre>
 */
public final class Meter {
  private static final int DEVICES = 10_000;
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] args) throws Exception {
    Locale.setDefault(Locale.ROOT);
    switch (args[0]) {
      case "topics" -> topics(args[1], Integer.parseInt(args[2]), List.of(args).subList(3, args.length));
      case "preload" -> preload(args[1], args[2]);
      case "watch" -> watch(args[1], args[2], args[3]);
      case "load" -> load(args[1], args[2], args[3], Integer.parseInt(args[4]), Integer.parseInt(args[5]), Integer.parseInt(args[6]), Long.parseLong(args[7]));
      case "check" -> check(args[1], args[2], args[3]);
      default -> throw new IllegalArgumentException(args[0]);
    }
    System.exit(0);
  }

  /** Ends the program when whoever started it is gone. */
  private static void endWithInput() {
    Thread thread = new Thread(() -> {
      try {
        while (System.in.read() >= 0) {
          // Nothing is said there.
        }
      } catch (java.io.IOException gone) {
        // As good as the end.
      }
      Runtime.getRuntime().halt(0);
    });
    thread.setDaemon(true);
    thread.start();
  }

  private static void topics(String brokers, int partitions, List<String> names) throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", brokers))) {
      admin.createTopics(names.stream().map(name -> new NewTopic(name, partitions, (short) 1)).toList()).all().get();
    }
  }

  private static KafkaProducer<String, String> producer(String brokers, Map<String, Object> more) {
    Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", brokers, "acks", "all"));
    config.putAll(more);
    return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
  }

  private static void preload(String brokers, String topic) throws Exception {
    long count = 0;
    try (KafkaProducer<String, String> producer = producer(brokers, Map.of("linger.ms", 20, "batch.size", 131_072));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 20)) {
      for (String line; (line = in.readLine()) != null; count++) {
        int first = line.indexOf('\t');
        int second = line.indexOf('\t', first + 1);
        producer.send(new ProducerRecord<>(topic, null, Long.parseLong(line.substring(0, first)), line.substring(first + 1, second), line.substring(second + 1)));
      }
    }
    System.out.println("PRELOADED " + count);
  }

  private static void watch(String brokers, String group, String topic) throws Exception {
    endWithInput();
    long last = -1;
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", brokers))) {
      while (true) {
        long sum = 0;
        try {
          for (var entry : admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().entrySet()) {
            if (entry.getValue() != null && entry.getKey().topic().equals(topic)) sum += entry.getValue().offset();
          }
        } catch (java.util.concurrent.ExecutionException absent) {
          sum = 0; // The group does not exist yet.
        }
        if (sum != last) System.out.println("COMMITTED " + System.currentTimeMillis() + " " + (last = sum));
        Thread.sleep(50);
      }
    }
  }

  private static KafkaConsumer<String, String> reader(String brokers, String... topics) {
    Map<String, Object> config = Map.of("bootstrap.servers", brokers, "isolation.level", "read_committed", "auto.offset.reset", "earliest", "fetch.max.wait.ms", 500, "max.poll.records", 5_000);
    KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    consumer.assign(Arrays.stream(topics).flatMap(topic -> consumer.partitionsFor(topic).stream()).map(each -> new TopicPartition(each.topic(), each.partition())).toList());
    return consumer;
  }

  /** The number behind a field's name; our outputs write 64-bit integers as text or as numbers. */
  private static long field(String value, String name) {
    int at = value.indexOf("\"" + name + "\":") + name.length() + 3;
    if (value.charAt(at) == '"') at++;
    int end = at;
    while (end < value.length() && Character.isDigit(value.charAt(end))) end++;
    return Long.parseLong(value.substring(at, end));
  }

  private static void load(String brokers, String in, String out, int rate, int seconds, int warmup, long base) throws Exception {
    endWithInput();
    int total = rate * (seconds + warmup);
    long[] sentAt = new long[total];
    long[] latency = new long[total];
    AtomicLong sent = new AtomicLong();
    KafkaConsumer<String, String> consumer = reader(brokers, out);
    consumer.seekToEnd(consumer.assignment());
    for (TopicPartition each : consumer.assignment()) consumer.position(each);
    Thread sender = new Thread(() -> {
      try (KafkaProducer<String, String> producer = producer(brokers, Map.of("linger.ms", 1))) {
        long start = System.nanoTime();
        for (int index = 0; index < total; index++) {
          long due = start + index * 1_000_000_000L / rate;
          while (System.nanoTime() < due) LockSupport.parkNanos(Math.max(due - System.nanoTime(), 500_000));
          int device = index % DEVICES;
          String value = "{\"deviceId\":\"dev-" + device + "\",\"ts\":\"" + Instant.ofEpochMilli(System.currentTimeMillis()) + "\",\"metric\":\"temperature\",\"value\":\"" + (index % 10_000) / 100.0
              + "\",\"seq\":" + (base + index / DEVICES) + ",\"unit\":\"t\",\"site\":\"plant-" + device % 7 + "/line-" + device % 23 + "/cell-" + device % 89 + "\"}";
          sentAt[index] = System.nanoTime();
          producer.send(new ProducerRecord<>(in, "dev-" + device, value));
          sent.set(index + 1);
        }
      }
    });
    sender.setDaemon(true);
    sender.start();
    long received = 0;
    long doubled = 0;
    long deadline = System.nanoTime() + (seconds + warmup + 120L) * 1_000_000_000L;
    while (received < total && System.nanoTime() < deadline) {
      var batch = consumer.poll(Duration.ofMillis(100));
      if (batch.isEmpty()) continue;
      long now = System.nanoTime();
      int fresh = 0;
      for (ConsumerRecord<String, String> each : batch) {
        long sequence = field(each.value(), "seq") - base;
        if (sequence < 0) continue;
        int index = (int) (sequence * DEVICES + Integer.parseInt(each.key().substring(4)));
        if (index >= total) continue;
        if (latency[index] != 0) doubled++;
        else received++;
        latency[index] = now - sentAt[index];
        fresh++;
      }
      if (fresh > 0) System.out.println("R " + System.currentTimeMillis() + " " + fresh);
    }
    long[] measured = Arrays.stream(latency, Math.min(rate * warmup, total), total).filter(each -> each > 0).sorted().toArray();
    System.out.printf("LATENCY {\"sent\":%d,\"received\":%d,\"doubled\":%d,\"p50Ms\":%s,\"p99Ms\":%s,\"maxMs\":%s}%n", sent.get(), received, doubled, at(measured, 0.5), at(measured, 0.99), at(measured, 1));
  }

  private static String at(long[] sorted, double share) {
    if (sorted.length == 0) return "null";
    return String.format("%.1f", sorted[Math.min(sorted.length - 1, (int) (sorted.length * share))] / 1e6);
  }

  private static void check(String brokers, String clean, String minute) throws Exception {
    Map<TopicPartition, Long> ends;
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", brokers)); KafkaConsumer<String, String> consumer = reader(brokers, clean, minute)) {
      var options = new org.apache.kafka.clients.admin.ListOffsetsOptions(IsolationLevel.READ_COMMITTED);
      ends = admin.listOffsets(consumer.assignment().stream().collect(Collectors.toMap(each -> each, each -> OffsetSpec.latest())), options).all().get().entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, each -> each.getValue().offset()));
      Map<String, BitSet> seen = new HashMap<>();
      long rows = 0;
      long repeats = 0;
      Map<String, JsonNode> windows = new HashMap<>();
      long updates = 0;
      while (ends.entrySet().stream().anyMatch(each -> consumer.position(each.getKey()) < each.getValue())) {
        for (ConsumerRecord<String, String> each : consumer.poll(Duration.ofMillis(500))) {
          if (each.topic().equals(clean)) {
            rows++;
            BitSet sequences = seen.computeIfAbsent(each.key(), key -> new BitSet());
            int sequence = (int) field(each.value(), "seq");
            if (sequences.get(sequence)) repeats++;
            sequences.set(sequence);
          } else if (each.value() != null) {
            updates++;
            JsonNode node = JSON.readTree(each.value());
            windows.put(node.get("device_id").asText() + "@" + node.get("window_start").asText(), node);
          }
        }
      }
      double n = windows.values().stream().mapToDouble(each -> each.get("n").asDouble()).sum();
      double sum = windows.values().stream().mapToDouble(each -> each.get("sum").asDouble()).sum();
      double min = windows.values().stream().mapToDouble(each -> each.get("min").asDouble()).sum();
      double max = windows.values().stream().mapToDouble(each -> each.get("max").asDouble()).sum();
      System.out.printf("CHECK {\"clean\":%d,\"repeats\":%d,\"updates\":%d,\"windows\":%d,\"n\":%.0f,\"sum\":%.2f,\"min\":%.2f,\"max\":%.2f}%n", rows, repeats, updates, windows.size(), n, sum, min, max);
    }
  }
}
