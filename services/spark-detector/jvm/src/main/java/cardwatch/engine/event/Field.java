package cardwatch.engine.event;

/**
 * The fields of a silver transaction that rules can name or alerts show, in the order in which contents are compared.
 */
public enum Field {
  TRANSACTION_ID(Kind.TEXT),
  CARD_TOKEN(Kind.TEXT),
  CARD_BIN(Kind.TEXT),
  CARD_LAST_FOUR(Kind.TEXT),
  MERCHANT_ID(Kind.TEXT),
  MERCHANT_CATEGORY_CODE(Kind.TEXT),
  MERCHANT_CATEGORY_GROUP(Kind.TEXT),
  COUNTRY(Kind.TEXT),
  BIN_COUNTRY(Kind.TEXT),
  CHANNEL(Kind.TEXT),
  TRANSACTION_TYPE(Kind.TEXT),
  STATUS(Kind.TEXT),
  CURRENCY(Kind.TEXT),
  DEVICE_ID(Kind.TEXT),
  IP_ADDRESS(Kind.TEXT),
  AMOUNT_MINOR(Kind.INTEGER),
  BASE_AMOUNT_MINOR(Kind.INTEGER),
  HOUR_OF_DAY(Kind.INTEGER),
  DAY_OF_WEEK(Kind.INTEGER),
  LATITUDE(Kind.DOUBLE),
  LONGITUDE(Kind.DOUBLE);

  /** What kind of value a field holds; an INTEGER has 64 bits. */
  public enum Kind { TEXT, INTEGER, DOUBLE }

  private static final Field[] ALL = values();

  private final Kind kind;
  private final String avroName;

  Field(Kind kind) {
    this.kind = kind;
    this.avroName = name().toLowerCase(java.util.Locale.ROOT);
  }

  /** What kind of value it holds. */
  public Kind kind() {
    return kind;
  }

  /** Its name in enriched_transaction.avsc and in rules. */
  public String avroName() {
    return avroName;
  }

  /** How many fields there are. */
  public static int count() {
    return ALL.length;
  }

  /** The field at a position. */
  public static Field at(int ordinal) {
    return ALL[ordinal];
  }

  /**
   * The field of a name.
   *
   * @throws IllegalArgumentException there is none
   */
  public static Field of(String avroName) {
    for (Field field : ALL) {
      if (field.avroName.equals(avroName)) {
        return field;
      }
    }
    throw new IllegalArgumentException("there is no field " + avroName);
  }
}
