package cardwatch.engine.program;

import cardwatch.engine.event.Row;

/** What expressions are evaluated on, and whether the last value of a number was null. For one thread. */
final class Evaluation {
  final Row row;
  final MeasureValues measures;
  final Profile profile;

  /** Set by each evaluation of a number: whether it is null, and what was returned without meaning. */
  boolean none;

  Evaluation(Row row, MeasureValues measures, Profile profile) {
    this.row = row;
    this.measures = measures;
    this.profile = profile;
  }
}
