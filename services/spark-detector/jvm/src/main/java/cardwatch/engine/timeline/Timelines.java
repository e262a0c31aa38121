package cardwatch.engine.timeline;

import cardwatch.engine.timeline.paged.PagedTimeline;

/**
 * Opens the timeline of a key: an {@link ArrayTimeline} for few events, a {@link PagedTimeline} for many. It changes
 * from the one to the other by itself.
 */
public final class Timelines {
  private Timelines() {}

  /**
   * The timeline of a key; an empty one if the store has no head.
   *
   * @throws IllegalStateException the head is damaged or was written by a later version
   */
  public static Timeline open(BlockStore store, TrackSet tracks) {
    byte[] head = store.head();
    if (head == null) {
      return new AdaptiveTimeline(store, tracks, ArrayTimeline.open(store, tracks));
    }
    int layout = head.length == 0 ? 0 : head[0];
    return switch (layout) {
      case ArrayTimeline.LAYOUT -> new AdaptiveTimeline(store, tracks, ArrayTimeline.open(store, tracks));
      case PagedTimeline.LAYOUT -> new AdaptiveTimeline(store, tracks, PagedTimeline.open(store, tracks));
      default ->
        throw new IllegalStateException("the state of a key has layout " + layout + "; this version reads layouts "
            + ArrayTimeline.LAYOUT + " and " + PagedTimeline.LAYOUT
            + ": start the version that wrote it, or a later one");
    };
  }
}
