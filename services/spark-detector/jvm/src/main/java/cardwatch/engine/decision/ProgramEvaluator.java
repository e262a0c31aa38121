package cardwatch.engine.decision;

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
