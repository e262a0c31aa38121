package cardwatch.engine.program;

import java.util.Locale;

/** The values of a card's profile that rules can name; fields of card_profile.avsc. */
public enum ProfileField {
  TRANSACTIONS_30D(ValueType.INTEGER),
  MEAN_AMOUNT_MINOR_30D(ValueType.DOUBLE),
  STDDEV_AMOUNT_MINOR_30D(ValueType.DOUBLE),
  TRANSACTIONS_90D(ValueType.INTEGER),
  MEAN_AMOUNT_MINOR_90D(ValueType.DOUBLE),
  STDDEV_AMOUNT_MINOR_90D(ValueType.DOUBLE),
  MAX_AMOUNT_MINOR_90D(ValueType.INTEGER),
  ACTIVE_DAYS_90D(ValueType.INTEGER),
  COUNTRIES_90D(ValueType.TEXTS),
  HOURS_90D(ValueType.INTEGERS);

  private final ValueType type;
  private final String avroName;

  ProfileField(ValueType type) {
    this.type = type;
    this.avroName = name().toLowerCase(Locale.ROOT);
  }

  /** The type of its values. */
  public ValueType type() {
    return type;
  }

  /** Its name in card_profile.avsc, and in rules after {@code profile.}. */
  public String avroName() {
    return avroName;
  }

  /**
   * The field of a name.
   *
   * @throws UnknownInstructionException there is none
   */
  static ProfileField of(String avroName) {
    for (ProfileField field : values()) {
      if (field.avroName.equals(avroName)) {
        return field;
      }
    }
    throw new UnknownInstructionException("there is no field `profile." + avroName + "`");
  }
}
