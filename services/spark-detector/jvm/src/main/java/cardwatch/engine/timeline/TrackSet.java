package cardwatch.engine.timeline;

import java.util.List;

/**
 * All that the measures of a scope's rules need, each once.
 *
 * @param masks without two of one fingerprint
 * @param tracks without two that are equal; a mask of a track excludes events whose field is null
 */
public record TrackSet(List<Mask> masks, List<Track> tracks) {
  /** Copies the lists. */
  public TrackSet {
    masks = List.copyOf(masks);
    tracks = List.copyOf(tracks);
  }

  /** Tells a track from others, also of other versions of the program and over restarts. */
  public long fingerprint(int track) {
    Track one = tracks.get(track);
    long mixed = masks.get(one.mask()).fingerprint() * 0x9E3779B97F4A7C15L;
    return (mixed ^ (one.kind().ordinal() * 64L + one.field().ordinal() + 1)) * 0xD6E8FEB86659FD93L;
  }
}
