package cardwatch.engine;

/** How many random examples a test tries: all, or in a short run one in so many as a system property says. */
public final class RandomExamples {
  private static final int SHARE = Integer.getInteger("cardwatch.examples.share", 1);

  private RandomExamples() {}

  /** The number of examples to try. */
  public static int of(int all) {
    return Math.max(all / SHARE, 1);
  }
}
