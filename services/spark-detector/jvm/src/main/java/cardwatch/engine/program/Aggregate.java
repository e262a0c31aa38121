package cardwatch.engine.program;

import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.Track;
import java.util.List;
import java.util.Locale;

/** What a measure computes over the events of its window (docs/rules.md, "Windows"). */
public enum Aggregate {
  COUNT(null),
  COUNT_DISTINCT(Track.Kind.DISTINCT),
  SUM(Track.Kind.SUM),
  MEAN(Track.Kind.SUM),
  MIN(Track.Kind.EXTREMES),
  MAX(Track.Kind.EXTREMES),
  STDDEV(Track.Kind.SQUARES),
  RATIO_TO_MEAN(Track.Kind.SUM),
  FIRST(null),
  LAST(null),
  PREVIOUS(null),
  SECONDS_SINCE_PREVIOUS(null),
  DISTANCE_KM(null),
  SPEED_KMH(null);

  private final Track.Kind track;

  Aggregate(Track.Kind track) {
    this.track = track;
  }

  /** The kind of track that it needs; null if a mask is enough. */
  Track.Kind track() {
    return track;
  }

  /** The type of its values. */
  ValueType type(Field field) {
    return switch (this) {
      case COUNT, COUNT_DISTINCT, SUM -> ValueType.INTEGER;
      case MIN, MAX, FIRST, LAST, PREVIOUS -> ValueType.of(field);
      default -> ValueType.DOUBLE;
    };
  }

  /** The fields that an event must have to be looked at. */
  List<Field> requiredFields(Field field) {
    return switch (this) {
      case DISTANCE_KM, SPEED_KMH -> List.of(Field.LATITUDE, Field.LONGITUDE);
      default -> field == null ? List.of() : List.of(field);
    };
  }

  /**
   * Check that it can take a field, or none.
   *
   * @param field null for measures of whole transactions
   * @throws UnknownInstructionException it cannot
   */
  void check(Field field) {
    boolean takes = switch (this) {
      case COUNT, SECONDS_SINCE_PREVIOUS, DISTANCE_KM, SPEED_KMH -> field == null;
      case SUM, MEAN, STDDEV, RATIO_TO_MEAN -> field != null&& field.kind() == Field.Kind.INTEGER;
      case MIN, MAX -> field != null&& field.kind() != Field.Kind.TEXT;
      case COUNT_DISTINCT, FIRST, LAST, PREVIOUS -> field != null;
    };
    if (!takes) {
      throw new UnknownInstructionException(
          "the aggregate `" + word() + "` cannot take " + (field == null ? "whole transactions" : field.avroName()));
    }
  }

  private String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * The aggregate that a program writes so.
   *
   * @throws UnknownInstructionException there is none
   */
  static Aggregate ofWord(String word) {
    for (Aggregate aggregate : values()) {
      if (aggregate.word().equals(word)) {
        return aggregate;
      }
    }
    throw new UnknownInstructionException("there is no aggregate `" + word + "`");
  }
}
