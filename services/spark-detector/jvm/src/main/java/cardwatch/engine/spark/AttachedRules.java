package cardwatch.engine.spark;

import cardwatch.engine.program.Program;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.zip.InflaterInputStream;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;

/**
 * The rules of a micro-batch, which the driver attaches to the job as local properties: a program and lists, each as
 * JSON, compressed by zlib, in base64.
 */
final class AttachedRules {
  private static final String PROGRAM = "cardwatch.program";
  private static final String LISTS = "cardwatch.lists";

  // Rules change seldom, and each task asks for them.
  private static volatile AttachedRules last;

  private final String programText;
  private final String listsText;
  private final Program program;

  private AttachedRules(String programText, String listsText) {
    this.programText = programText;
    this.listsText = listsText;
    program = Program.parse(inflated(programText), inflated(listsText));
  }

  /**
   * The rules of the task that calls.
   *
   * @throws IllegalStateException there are none
   */
  static Program ofTask() {
    TaskContext task = TaskContext.get();
    String program = task == null ? null : task.getLocalProperty(PROGRAM);
    String lists = task == null ? null : task.getLocalProperty(LISTS);
    if (program == null || lists == null) {
      throw new IllegalStateException("the micro-batch came without its rules");
    }
    AttachedRules found = last;
    if (found == null || !found.programText.equals(program) || !found.listsText.equals(lists)) {
      found = new AttachedRules(program, lists);
      last = found;
    }
    return found.program;
  }

  /** Attach rules to all jobs that the thread that calls starts from now on. */
  static void attach(SparkContext context, String program, String lists) {
    context.setLocalProperty(PROGRAM, program);
    context.setLocalProperty(LISTS, lists);
  }

  private static String inflated(String text) {
    try (var stream = new InflaterInputStream(new ByteArrayInputStream(Base64.getDecoder().decode(text)))) {
      return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException error) {
      throw new UncheckedIOException("the rules of the micro-batch are damaged", error);
    }
  }
}
