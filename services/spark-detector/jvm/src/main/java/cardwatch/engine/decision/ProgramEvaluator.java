package cardwatch.engine.decision;

import cardwatch.engine.program.Measure;
import cardwatch.engine.program.MeasureEvaluator;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.Rule;
import cardwatch.engine.program.ScopeProgram;
import cardwatch.engine.timeline.Timeline;
import java.util.List;

/** Evaluates the compiled rules of a scope. */
public final class ProgramEvaluator implements RuleEvaluator {
  private final ScopeProgram program;
  private MeasureEvaluator evaluator;
  private Profile profile;

  /** Evaluates the rules of a program over timelines that are opened with its tracks. */
  public ProgramEvaluator(ScopeProgram program) {
    this.program = program;
  }

  @Override
  public List<Rule> rules() {
    return program.rules();
  }

  @Override
  public int unbuilt(int rule, Timeline timeline) {
    int events = 0;
    for (Measure measure : program.rules().get(rule).measures()) {
      Measure.Computation computation = program.computations().get(measure.slot());
      events += timeline.unbuilt(computation.mask(), computation.track());
    }
    return events;
  }

  @Override
  public void build(int rule, Timeline timeline) {
    for (Measure measure : program.rules().get(rule).measures()) {
      Measure.Computation computation = program.computations().get(measure.slot());
      timeline.build(computation.mask(), computation.track());
    }
  }

  @Override
  public void begin(Timeline timeline) {
    evaluator = new MeasureEvaluator(program, timeline);
  }

  @Override
  public void moveTo(int ordinal, Profile profile) {
    this.profile = profile;
    evaluator.moveTo(ordinal);
  }

  @Override
  public boolean holds(int rule) {
    return evaluator.holds(program.rules().get(rule), profile);
  }

  @Override
  public List<Object> measures(int rule) {
    return evaluator.values(program.rules().get(rule));
  }
}
