package cardwatch.engine.decision;

/** How often what happened in random histories. */
final class SeenChanges {
  int raised;
  int suppressed;
  int retracted;
  int changed;
  int evicted;
  int loaded;

  @Override
  public String toString() {
    return raised + " raised, " + suppressed + " suppressed, " + retracted + " retracted, " + changed + " changed, "
        + evicted + " evicted, " + loaded + " loaded";
  }
}
