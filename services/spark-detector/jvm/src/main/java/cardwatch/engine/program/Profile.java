package cardwatch.engine.program;

import java.util.Arrays;
import java.util.List;

/** What a card usually does, for the transactions of one UTC day (docs/rules.md, "Baselines"). Immutable. */
public final class Profile {
  /** The profile of a card that has none: all fields are null. */
  public static final Profile NONE = new Builder().build();

  private final Object[] values;

  private Profile(Object[] values) {
    this.values = values;
  }

  /** Whether a field has no value. */
  public boolean isNull(ProfileField field) {
    return values[field.ordinal()] == null;
  }

  /** The value of an INTEGER field that is not null. */
  public long integer(ProfileField field) {
    return (Long) values[field.ordinal()];
  }

  /** The value of a DOUBLE field that is not null. */
  public double number(ProfileField field) {
    return (Double) values[field.ordinal()];
  }

  /** The value of a TEXTS field that is not null. */
  @SuppressWarnings("unchecked") // what the builder has put there
  public List<String> texts(ProfileField field) {
    return (List<String>) values[field.ordinal()];
  }

  /** The value of an INTEGERS field that is not null. */
  @SuppressWarnings("unchecked") // what the builder has put there
  public List<Long> integers(ProfileField field) {
    return (List<Long>) values[field.ordinal()];
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Profile profile && Arrays.equals(values, profile.values);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(values);
  }

  /** Collects the values of a profile; all are null at first. */
  public static final class Builder {
    private final Object[] values = new Object[ProfileField.values().length];

    /** An INTEGER field. */
    public Builder integer(ProfileField field, long value) {
      return put(field, ValueType.INTEGER, value);
    }

    /** A DOUBLE field. */
    public Builder number(ProfileField field, double value) {
      return put(field, ValueType.DOUBLE, value);
    }

    /** A TEXTS field. */
    public Builder texts(ProfileField field, List<String> value) {
      return put(field, ValueType.TEXTS, List.copyOf(value));
    }

    /** An INTEGERS field. */
    public Builder integers(ProfileField field, List<Long> value) {
      return put(field, ValueType.INTEGERS, List.copyOf(value));
    }

    /** The profile. */
    public Profile build() {
      return new Profile(values.clone());
    }

    private Builder put(ProfileField field, ValueType type, Object value) {
      if (field.type() != type) {
        throw new IllegalArgumentException(field.avroName() + " is " + field.type().word() + ", not " + type.word());
      }
      values[field.ordinal()] = value;
      return this;
    }
  }
}
