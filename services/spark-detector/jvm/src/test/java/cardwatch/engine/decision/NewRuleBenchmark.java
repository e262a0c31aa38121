package cardwatch.engine.decision;

import cardwatch.engine.event.Event;
import cardwatch.engine.program.Program;
import cardwatch.engine.program.ScopeProgram;
import cardwatch.engine.timeline.BenchmarkEvents;
import cardwatch.engine.timeline.CountingStore;
import cardwatch.engine.timeline.Timelines;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * What the first touches of a busy key cost after a rule has come: its tracks are built from all events of the key, and
 * where it suppresses, its hits before the touch are evaluated. Prints a line per touch: seconds, bytes written, and
 * changes published so far.
 *
 * <p>Arguments: a file with the program of the rules before, one with the rules after, the scope, how many events the
 * key has, and how far apart they are, microseconds.
 */
public final class NewRuleBenchmark {
  private static final int FILLING = 1000;
  private static final int TOUCHES = 5;

  private final Random random = new Random(1);
  private final CountingStore store = new CountingStore();
  private final long step;
  private final long kept;
  private long published;
  private long now = 1_790_000_000_000_000L;

  private NewRuleBenchmark(int events, long step) {
    this.step = step;
    this.kept = 2L * events * step;
  }

  /** Runs it. */
  public static void main(String[] arguments) throws IOException {
    ScopeProgram before = read(arguments[0], arguments[2]);
    ScopeProgram after = read(arguments[1], arguments[2]);
    int events = Integer.parseInt(arguments[3]);
    NewRuleBenchmark benchmark = new NewRuleBenchmark(events, Long.parseLong(arguments[4]));
    for (int filled = 0; filled < events; filled += FILLING) {
      benchmark.touch(before, FILLING);
    }
    benchmark.report("before", before);
    for (int touch = 0; touch < TOUCHES; touch++) {
      benchmark.report("after", after);
    }
  }

  private static ScopeProgram read(String file, String scope) throws IOException {
    return Program.parse(Files.readString(Path.of(file)), "{}").scopes().get(scope);
  }

  private void report(String rules, ScopeProgram program) {
    store.reset();
    long began = System.nanoTime();
    touch(program, 1);
    double seconds = (System.nanoTime() - began) / 1e9;
    System.out.printf("%s %.4f %d %d%n", rules, seconds, store.written(), published);
  }

  private void touch(ScopeProgram program, int arrivals) {
    List<Event> events = new ArrayList<>(arrivals);
    for (int left = arrivals; left > 0; left--) {
      now += step;
      events.add(BenchmarkEvents.draw(random, now));
    }
    Touch touch =
        new Touch(Timelines.open(store, program.tracks()), Profiles.open(store), events, List.of(), now - kept);
    new Decisions(new ProgramEvaluator(program), 500, 1).decide(touch, transition -> published++);
    touch.timeline().save();
  }
}
