package cardwatch.engine.program;

/** A rule of a program uses what this engine does not know; its message is a sentence for whoever wrote the rule. */
public final class UnknownInstructionException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** An error with a sentence. */
  public UnknownInstructionException(String message) {
    super(message);
  }
}
