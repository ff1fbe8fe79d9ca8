package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/** Forwards each call of its schedule with the times it was told, and the records in between if it is asked to. */
final class Punctuating implements Processor<Object, Object, Object, Object> {
  private final Duration interval;
  private final PunctuationType type;
  private final boolean forwardsRecords;
  private ProcessorContext<Object, Object> context;

  Punctuating(JsonNode node) {
    interval = Duration.ofMillis(node.get("intervalMs").asLong());
    type = node.get("type").asText().equals("streamTime") ? PunctuationType.STREAM_TIME : PunctuationType.WALL_CLOCK_TIME;
    forwardsRecords = node.path("forwardRecords").asBoolean();
  }

  @Override
  public void init(ProcessorContext<Object, Object> context) {
    this.context = context;
    context.schedule(interval, type, this::punctuate);
  }

  private void punctuate(long time) {
    Map<String, Object> told = new LinkedHashMap<>();
    told.put("punctuate", time);
    told.put("streamTime", context.currentStreamTimeMs());
    told.put("wallClock", context.currentSystemTimeMs());
    context.forward(new Record<>("P", told, time));
  }

  @Override
  public void process(Record<Object, Object> record) {
    if (forwardsRecords) context.forward(record);
  }
}
