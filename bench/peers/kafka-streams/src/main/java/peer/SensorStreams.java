package peer;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.Properties;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The benchmark's work on Kafka Streams: cast, drop malformed, keep the first of each (device, seq), write what is clean, and minutes a device.
 *
 * <p>Arguments: brokers, application id, source topic, clean topic, minute topic, threads, state folder. Prints RUNNING, and FIRST when the first record
 * is handed to the topology. Ends cleanly when standard input ends.
 */
public final class SensorStreams {
  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class Raw {
    public String deviceId;
    public String metric;
    public String ts;
    public String value;
    public long seq;
    public String unit;
    public String site;
  }

  public static final class Reading {
    @JsonProperty("device_id") public String deviceId;
    public String metric;
    public long seq;
    @JsonProperty("event_time") public long eventTime;
    public double value;
    public String unit;
    public String site;
  }

  public static final class Minute {
    @JsonProperty("device_id") public String deviceId;
    @JsonProperty("window_start") public long windowStart;
    public long n;
    public double sum;
    public double min = Double.POSITIVE_INFINITY;
    public double max = Double.NEGATIVE_INFINITY;

    Minute add(double value) {
      n++;
      sum += value;
      min = Math.min(min, value);
      max = Math.max(max, value);
      return this;
    }
  }

  private static final ObjectMapper JSON = new ObjectMapper();
  private static volatile boolean started;

  private static <T> Serde<T> json(Class<T> type) {
    ObjectWriter writer = JSON.writerFor(type);
    ObjectReader reader = JSON.readerFor(type);
    Serializer<T> serializer = (topic, value) -> {
      try {
        return value == null ? null : writer.writeValueAsBytes(value);
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    };
    Deserializer<T> deserializer = (topic, bytes) -> {
      try {
        return bytes == null ? null : reader.readValue(bytes);
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    };
    return Serdes.serdeFrom(serializer, deserializer);
  }

  /** Malformed records end here. */
  private static final class Cast extends ContextualFixedKeyProcessor<String, byte[], Reading> {
    private final ObjectReader reader = JSON.readerFor(Raw.class);

    @Override
    public void process(FixedKeyRecord<String, byte[]> record) {
      if (!started) {
        started = true;
        say("FIRST");
      }
      Reading reading = new Reading();
      try {
        Raw raw = reader.readValue(record.value());
        reading.deviceId = raw.deviceId;
        reading.metric = raw.metric;
        reading.seq = raw.seq;
        reading.eventTime = Instant.parse(raw.ts).toEpochMilli();
        reading.value = Double.parseDouble(raw.value);
        reading.unit = raw.unit;
        reading.site = raw.site;
        if (reading.deviceId.isEmpty() || reading.metric.isEmpty()) return;
      } catch (Exception malformed) {
        return;
      }
      context().forward(record.withValue(reading).withTimestamp(reading.eventTime));
    }
  }

  /** The first of each (device, seq) passes. */
  private static final class Dedup extends ContextualFixedKeyProcessor<String, Reading, Reading> {
    private KeyValueStore<String, Long> seen;

    @Override
    public void init(FixedKeyProcessorContext<String, Reading> context) {
      super.init(context);
      seen = context.getStateStore("dedup");
    }

    @Override
    public void process(FixedKeyRecord<String, Reading> record) {
      Reading reading = record.value();
      String key = reading.deviceId + '|' + reading.seq;
      if (seen.get(key) != null) return;
      seen.put(key, reading.eventTime);
      context().forward(record);
    }
  }

  private static synchronized void say(String word) {
    System.out.println(word + " " + System.currentTimeMillis());
    System.out.flush();
  }

  public static void main(String[] args) throws Exception {
    Properties config = new Properties();
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
    config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[5]);
    config.put(StreamsConfig.STATE_DIR_CONFIG, args[6]);
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
    config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    config.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
    config.put("auto.offset.reset", "earliest");

    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("dedup"), Serdes.String(), Serdes.Long()));
    // Values only: with a changed key a repartition topic would be put in before the windows.
    KStream<String, Reading> clean = builder.stream(args[2], Consumed.with(Serdes.String(), Serdes.ByteArray()))
        .processValues(Cast::new)
        .processValues(Dedup::new, "dedup");
    clean.to(args[3], Produced.with(Serdes.String(), json(Reading.class)));
    clean.groupByKey(Grouped.with(Serdes.String(), json(Reading.class)))
        .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), Duration.ofSeconds(30)))
        .aggregate(Minute::new, (device, reading, minute) -> minute.add(reading.value),
            Materialized.<String, Minute>as(Stores.persistentWindowStore("agg1m", Duration.ofMinutes(5), Duration.ofMinutes(1), false))
                .withKeySerde(Serdes.String()).withValueSerde(json(Minute.class)))
        .toStream()
        .map((window, minute) -> {
          minute.deviceId = window.key();
          minute.windowStart = window.window().start();
          return KeyValue.pair(window.key(), minute);
        })
        .to(args[4], Produced.with(Serdes.String(), json(Minute.class)));

    KafkaStreams streams = new KafkaStreams(builder.build(config), config);
    streams.setStateListener((now, before) -> {
      if (now == KafkaStreams.State.RUNNING) say("RUNNING");
    });
    streams.start();
    while (System.in.read() >= 0) {
      // Nothing is said there: only its end matters.
    }
    streams.close(Duration.ofSeconds(10));
    System.exit(0);
  }
}
