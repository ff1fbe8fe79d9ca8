package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Cases on standard input, one a line; the same with what Kafka Streams made of them on standard output, one a line, in the same order. */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      if (line.isBlank()) continue;
      JsonNode test = Json.MAPPER.readTree(line);
      ObjectNode result;
      try {
        result = new CaseRun(test).run();
      } catch (RuntimeException cause) {
        // A topology that fails in Kafka Streams itself has no answer.
        result = Json.MAPPER.createObjectNode();
        result.set("case", test.get("case"));
        result.put("failure", cause.toString());
      }
      out.println(Json.MAPPER.writeValueAsString(result));
      out.flush();
    }
  }
}
