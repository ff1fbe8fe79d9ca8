package oracle;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BinaryOperator;
import java.util.function.UnaryOperator;
import org.apache.kafka.streams.KeyValue;

/** The functions that cases name; `functions.ts` has the same for our side. */
final class Vocabulary {
  interface OnRecord<R> {
    R of(String key, Object value);
  }

  /** What an aggregate is made of; a part that it does not have throws when it is used. */
  record Aggregation(Object initial, BinaryOperator<Object> add, BinaryOperator<Object> subtract, BinaryOperator<Object> merge) {}

  private final String name;
  private final String argument;

  private Vocabulary(String spec) {
    int colon = spec.indexOf(':');
    name = colon < 0 ? spec : spec.substring(0, colon);
    argument = colon < 0 ? "" : spec.substring(colon + 1);
  }

  private long number() {
    return Long.parseLong(argument);
  }

  private IllegalArgumentException unknown(String what) {
    return new IllegalArgumentException("no " + what + " is called " + name);
  }

  static long number(Object value) {
    return ((Number) value).longValue();
  }

  private static long orZero(Object value) {
    return value == null ? 0 : number(value);
  }

  static Object reference(Object value) {
    return ((Map<?, ?>) value).get("ref");
  }

  static OnRecord<Boolean> predicate(String spec) {
    Vocabulary f = new Vocabulary(spec);
    return switch (f.name) {
      case "even" -> (key, value) -> value instanceof Number && number(value) % 2 == 0;
      case "gt" -> (key, value) -> value instanceof Number && number(value) > f.number();
      case "ge" -> (key, value) -> value instanceof Number && number(value) >= f.number();
      case "notNull" -> (key, value) -> value != null;
      case "keyIs" -> (key, value) -> f.argument.equals(key);
      default -> throw f.unknown("predicate");
    };
  }

  static UnaryOperator<Object> values(String spec) {
    Vocabulary f = new Vocabulary(spec);
    return switch (f.name) {
      case "add" -> value -> value == null ? null : (Object) (number(value) + f.number());
      case "nullIfGt" -> value -> value == null || number(value) > f.number() ? null : value;
      case "str" -> value -> "s" + value;
      case "mod" -> value -> value == null ? null : (Object) Math.floorMod(number(value), f.number());
      default -> throw f.unknown("mapper of values");
    };
  }

  private static String group(Object value, long by) {
    return "m" + Math.floorMod(number(value), by);
  }

  static OnRecord<KeyValue<String, Object>> records(String spec) {
    Vocabulary f = new Vocabulary(spec);
    return switch (f.name) {
      case "parityKey" -> (key, value) -> value == null ? KeyValue.pair(null, null) : KeyValue.pair(key + (number(value) % 2 == 0 ? "-e" : "-o"), number(value) + 100);
      case "mod" -> (key, value) -> KeyValue.pair(group(value, f.number()), value);
      case "modOrNull" -> (key, value) -> KeyValue.pair(number(value) % f.number() == 0 ? null : group(value, f.number()), value);
      default -> throw f.unknown("mapper of records");
    };
  }

  static OnRecord<String> keys(String spec) {
    Vocabulary f = new Vocabulary(spec);
    return switch (f.name) {
      case "mod" -> (key, value) -> value == null ? null : group(value, f.number());
      case "modOrNull" -> (key, value) -> value == null || number(value) % f.number() == 0 ? null : group(value, f.number());
      case "key" -> (key, value) -> key;
      case "keyPlus" -> (key, value) -> key + f.argument;
      case "fieldRef" -> (key, value) -> value == null ? null : (String) reference(value);
      default -> throw f.unknown("mapper of keys");
    };
  }

  static OnRecord<List<KeyValue<String, Object>>> several(String spec) {
    if (!spec.equals("repeatMod4")) throw new Vocabulary(spec).unknown("mapper to several records");
    return (key, value) -> {
      List<KeyValue<String, Object>> made = new ArrayList<>();
      if (value != null) for (long i = 0; i < number(value) % 4; i++) made.add(KeyValue.pair(key + "#" + i, number(value) * 10 + i));
      return made;
    };
  }

  static OnRecord<List<Object>> severalValues(String spec) {
    if (!spec.equals("upToMod3")) throw new Vocabulary(spec).unknown("mapper to several values");
    return (key, value) -> {
      List<Object> made = new ArrayList<>();
      if (value == null) made.add(null);
      else for (long i = 0; i <= number(value) % 3; i++) made.add(number(value) * 10 + i);
      return made;
    };
  }

  static BinaryOperator<Object> reducer(String spec) {
    return switch (spec) {
      case "sum" -> (total, value) -> orZero(total) + orZero(value);
      case "sub" -> (total, value) -> number(total) - number(value);
      case "max" -> (total, value) -> Math.max(number(total), number(value));
      case "concat" -> (total, value) -> total + "," + value;
      case "sumNullIfMod5" -> Vocabulary::sumNullIfMod5;
      default -> throw new Vocabulary(spec).unknown("reducer");
    };
  }

  private static Object sumNullIfMod5(Object total, Object value) {
    long sum = number(total) + number(value);
    return sum % 5 == 0 ? null : sum;
  }

  private static Object moved(Object total, long n, long sum) {
    Map<?, ?> before = (Map<?, ?>) total;
    Map<String, Object> after = new LinkedHashMap<>();
    after.put("n", number(before.get("n")) + n);
    after.put("sum", number(before.get("sum")) + sum);
    return after;
  }

  static Aggregation aggregation(String spec) {
    Vocabulary f = new Vocabulary(spec);
    BinaryOperator<Object> none = (total, value) -> {
      throw f.unknown("subtractor or merger");
    };
    return switch (f.name) {
      case "sumCount" -> new Aggregation(
          Map.of("n", 0, "sum", 0),
          (total, value) -> moved(total, 1, orZero(value)),
          (total, value) -> moved(total, -1, -number(value)),
          (left, right) -> moved(left, number(((Map<?, ?>) right).get("n")), number(((Map<?, ?>) right).get("sum"))));
      case "list" -> new Aggregation("", (total, value) -> total + "," + f.argument + value, none, (left, right) -> left + "|" + right);
      case "tlist" -> new Aggregation("", (total, value) -> total + "+" + value, (total, value) -> total + "-" + value, none);
      case "sumNullIfMod5" -> new Aggregation(0, Vocabulary::sumNullIfMod5, none, none);
      default -> throw f.unknown("aggregate");
    };
  }

  private static String shown(Object value) {
    return String.valueOf(value instanceof Map<?, ?> fields ? fields.get("v") : value);
  }

  static Object joined(Object left, Object right) {
    return shown(left) + "|" + shown(right);
  }
}
