package cardwatch.engine.timeline.paged;

import cardwatch.engine.timeline.BlockStore;
import cardwatch.engine.timeline.Timeline;
import cardwatch.engine.timeline.TrackSet;

/** Timelines whose leaves and pages are so small that a few events fill many of them. */
public final class SmallPages {
  private SmallPages() {}

  /** The timeline of a key, with at most four events in a leaf and four leaves in a page. */
  public static Timeline open(BlockStore store, TrackSet tracks) {
    return PagedTimeline.open(store, tracks, 4, 4);
  }
}
