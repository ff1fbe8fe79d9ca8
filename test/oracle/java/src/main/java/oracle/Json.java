package oracle;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** Values as JSON: numbers are Integer or Long, objects are maps in their own order. */
final class Json {
  static final ObjectMapper MAPPER = new ObjectMapper();

  private Json() {}

  static byte[] write(Object value) {
    try {
      return value == null ? null : MAPPER.writeValueAsBytes(value);
    } catch (IOException cause) {
      throw new UncheckedIOException(cause);
    }
  }

  static Object read(byte[] bytes) {
    try {
      return bytes == null ? null : MAPPER.readValue(bytes, Object.class);
    } catch (IOException cause) {
      throw new UncheckedIOException(cause);
    }
  }

  static Serde<Object> serde() {
    return Serdes.serdeFrom((topic, value) -> write(value), (topic, bytes) -> read(bytes));
  }

  /** For the default in Kafka Streams' configuration, which wants a class. */
  public static final class DefaultSerde extends Serdes.WrapperSerde<Object> {
    public DefaultSerde() {
      super((topic, value) -> write(value), (topic, bytes) -> read(bytes));
    }
  }
}
