package cardwatch.engine.spark;

/** What decides, on the driver, whether a query may work: the detector in Python (velocity/sink.py). */
public interface BatchGate {
  /**
   * Whether the query may go on, as JSON: {@code refused}, a sentence why it must not, or an empty text; and {@code
   * held_seconds}, for how long it may go on without asking again.
   *
   * @param begins whether a micro-batch begins, which must have the newest rules ({@link SinkControl#rules})
   */
  String ask(boolean begins);
}
