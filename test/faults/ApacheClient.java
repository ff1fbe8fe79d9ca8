import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Apache's own client, as the independent judge of a fault run: a read_committed consumer that reads along while the faults happen, the admin client's view of
 * groups and transactions, and a producer that is told transaction by transaction what to do. Commands come on standard input, a line each with tabs
 * between the parts, and answers go out on standard output in the same form:
 *
 *   watch TOPIC PARTITIONS | unwatch TOPIC                          records follow as: record TOPIC PARTITION OFFSET TIMESTAMP KEY VALUE
 *   state ID GROUP TOPIC,TOPIC...                                   answers: state ID TOPIC-PARTITION=COMMITTED/END,...
 *   open ID PREFIX                                                  answers: open ID TRANSACTIONAL-ID=STATE,...   (those that are not over)
 *   begin ID TRANSACTIONAL-ID | send ID TRANSACTIONAL-ID TOPIC PARTITION TIMESTAMP KEY VALUE | commit ID TRANSACTIONAL-ID | abort ID TRANSACTIONAL-ID
 *   abandon ID TRANSACTIONAL-ID                                     leaves the transaction hanging
 *
 * Keys and values are Base64, or - for none.
 */
public final class ApacheClient {
  private static final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
  private static final ConcurrentLinkedQueue<String[]> watches = new ConcurrentLinkedQueue<>();
  private static final Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();

  public static void main(String[] arguments) throws Exception {
    String brokers = arguments[0];
    Thread reader = new Thread(() -> read(brokers));
    reader.setDaemon(true);
    reader.start();
    Properties properties = new Properties();
    properties.put("bootstrap.servers", brokers);
    properties.put("request.timeout.ms", "10000");
    properties.put("default.api.timeout.ms", "30000");
    try (Admin admin = Admin.create(properties)) {
      BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
      for (String line = commands.readLine(); line != null; line = commands.readLine()) {
        String[] parts = line.split("\t", -1);
        if (parts[0].endsWith("watch")) {
          watches.add(parts);
          continue;
        }
        try {
          say(parts[0] + "\t" + parts[1] + "\t" + answer(brokers, admin, parts));
        } catch (Exception error) {
          say("error\t" + parts[1] + "\t" + String.valueOf(error).replaceAll("\\s+", " "));
        }
      }
    }
    Runtime.getRuntime().halt(0);
  }

  private static synchronized void say(String line) {
    out.println(line);
    out.flush();
  }

  private static String answer(String brokers, Admin admin, String[] parts) throws Exception {
    switch (parts[0]) {
      case "state":
        return state(admin, parts[2], parts[3].split(","));
      case "open": {
        List<String> open = new ArrayList<>();
        for (var listing : admin.listTransactions().all().get()) {
          String state = listing.state().toString();
          boolean isOver = state.equals("Empty") || state.equals("CompleteCommit") || state.equals("CompleteAbort") || state.equals("Dead");
          if (listing.transactionalId().startsWith(parts[2]) && !isOver) open.add(listing.transactionalId() + "=" + state);
        }
        return String.join(",", open);
      }
      case "begin":
        producer(brokers, parts[2]).beginTransaction();
        return "";
      case "send":
        producer(brokers, parts[2]).send(new ProducerRecord<>(parts[3], Integer.parseInt(parts[4]), Long.parseLong(parts[5]), bytes(parts[6]), bytes(parts[7]))).get();
        return "";
      case "commit":
        producer(brokers, parts[2]).commitTransaction();
        return "";
      case "abort":
        producer(brokers, parts[2]).abortTransaction();
        return "";
      case "abandon":
        producers.remove(parts[2]).close(Duration.ZERO);
        return "";
      default:
        throw new IllegalArgumentException(parts[0]);
    }
  }

  private static String state(Admin admin, String group, String[] topics) throws Exception {
    Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
    for (var description : admin.describeTopics(List.of(topics)).allTopicNames().get().values()) {
      for (var partition : description.partitions()) wanted.put(new TopicPartition(description.name(), partition.partition()), OffsetSpec.latest());
    }
    var ends = admin.listOffsets(wanted, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all().get();
    var committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
    List<String> rows = new ArrayList<>();
    for (TopicPartition partition : wanted.keySet()) {
      var offset = committed.get(partition);
      rows.add(partition + "=" + (offset == null ? 0 : offset.offset()) + "/" + ends.get(partition).offset());
    }
    return String.join(",", rows);
  }

  private static KafkaProducer<byte[], byte[]> producer(String brokers, String id) {
    return producers.computeIfAbsent(id, name -> {
      Properties properties = new Properties();
      properties.put("bootstrap.servers", brokers);
      properties.put("transactional.id", name);
      properties.put("transaction.timeout.ms", "600000");
      var producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
      producer.initTransactions();
      return producer;
    });
  }

  private static byte[] bytes(String text) {
    return text.equals("-") ? null : Base64.getDecoder().decode(text);
  }

  private static String text(byte[] bytes) {
    return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
  }

  private static void read(String brokers) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", brokers);
    properties.put("isolation.level", "read_committed");
    properties.put("auto.offset.reset", "earliest");
    properties.put("enable.auto.commit", "false");
    properties.put("fetch.max.wait.ms", "100");
    properties.put("reconnect.backoff.max.ms", "500");
    Set<TopicPartition> assigned = new HashSet<>();
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      while (true) {
        boolean changed = false;
        for (String[] watch = watches.poll(); watch != null; watch = watches.poll()) {
          String topic = watch[1];
          changed = true;
          if (watch[0].equals("unwatch")) assigned.removeIf(each -> each.topic().equals(topic));
          else for (int partition = 0; partition < Integer.parseInt(watch[2]); partition++) assigned.add(new TopicPartition(topic, partition));
        }
        if (changed) consumer.assign(assigned);
        if (assigned.isEmpty()) {
          Thread.sleep(20);
          continue;
        }
        StringBuilder lines = new StringBuilder();
        for (var record : consumer.poll(Duration.ofMillis(50))) {
          lines.append("record\t").append(record.topic()).append('\t').append(record.partition()).append('\t').append(record.offset()).append('\t').append(record.timestamp());
          lines.append('\t').append(text(record.key())).append('\t').append(text(record.value())).append('\n');
        }
        if (lines.length() > 0) say(lines.substring(0, lines.length() - 1));
      }
    } catch (Exception error) {
      say("error\tconsumer\t" + String.valueOf(error).replaceAll("\\s+", " "));
    }
  }
}
