package cardwatch.engine.timeline;

/** Numbers of different values over ranges whose ends never increase from one call to the next. */
public interface DistinctCounts {
  /**
   * How many different values the included events of [from, to) have.
   *
   * @param to not more than in the call before
   */
  int count(int from, int to);
}
