package cardwatch.engine.spark;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.ProfileField;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import scala.Tuple3;

/** Makes of each record one packed arrival per scope in which it has a key. */
final class ArrivalPacker implements FlatMapFunction<Row, Tuple3<String, String, byte[]>> {
  private static final long serialVersionUID = 1L;
  private static final String TRANSACTION = "transaction";
  private static final String PROFILE = "profile";
  // Positions of the columns of `columns`: the fields of the transaction begin at FIELDS.
  private static final int EVENT_TIME = 0;
  private static final int PARTITION = 1;
  private static final int OFFSET = 2;
  private static final int RAW_BROKER_TIME = 3;
  private static final int MESSAGE_KEY = 4;
  private static final int MESSAGE = 5;
  private static final int HEADERS = 6;
  private static final int FIELDS = 7;
  private static final int PROFILE_KEY = FIELDS + Field.values().length;
  private static final int PROFILE_FIELDS = PROFILE_KEY + 1;

  private final Options options;

  ArrivalPacker(Options options) {
    this.options = options;
  }

  /** The columns that it takes, of records as the operator gets them. */
  static Column[] columns(Options options) {
    List<Column> columns = new ArrayList<>();
    columns.add(functions.unix_micros(functions.col("event_time")));
    columns.add(functions.col("partition"));
    columns.add(functions.col("offset"));
    columns.add(functions.unix_micros(functions.col(TRANSACTION + ".raw_broker_time")));
    columns.add(functions.col("message_key"));
    columns.add(functions.col("value"));
    columns.add(options.traceShare() == null ? functions.lit(null) : functions.col("headers"));
    for (Field field : Field.values()) {
      Column value = functions.col(TRANSACTION + "." + field.avroName());
      columns.add(value.cast(switch (field.kind()) {
        case TEXT -> "string";
        case INTEGER -> "bigint";
        case DOUBLE -> "double";
      }));
    }
    if (options.profileScope() != null) {
      columns.add(functions.col(PROFILE + "." + options.scope(options.profileScope()).keyField().avroName()));
      for (ProfileField field : ProfileField.values()) {
        Column value = functions.col(PROFILE + "." + field.avroName());
        columns.add(value.cast(switch (field.type()) {
          case INTEGER -> "bigint";
          case DOUBLE -> "double";
          case TEXTS -> "array<string>";
          case INTEGERS -> "array<bigint>";
          default -> throw new IllegalStateException(field + " is of no type that profiles have");
        }));
      }
    }
    Column[] named = new Column[columns.size()];
    for (int at = 0; at < named.length; at++) {
      named[at] = columns.get(at).as("c" + at);
    }
    return named;
  }

  @Override
  public Iterator<Tuple3<String, String, byte[]>> call(Row row) {
    List<Tuple3<String, String, byte[]>> packed = new ArrayList<>(options.scopes().size());
    if (row.isNullAt(EVENT_TIME)) {
      return packed.iterator(); // it is in no window: the lakehouse quarantines it
    }
    if (!row.isNullAt(FIELDS + Field.TRANSACTION_ID.ordinal())) {
      List<Options.Scope> scopes = new ArrayList<>(options.scopes());
      scopes.removeIf(scope -> row.isNullAt(FIELDS + scope.keyField().ordinal()));
      Event event = event(row);
      TraceContext trace = trace(row);
      Original original = new Original(row.getString(MESSAGE_KEY), row.getAs(MESSAGE),
          scopes.stream().map(Options.Scope::name).collect(Collectors.joining(",")));
      for (Options.Scope scope : scopes) {
        byte[] bytes = new Arrival(row.getLong(EVENT_TIME), place(row), event, null, original, trace).toBytes();
        packed.add(new Tuple3<>(scope.name(), row.getString(FIELDS + scope.keyField().ordinal()), bytes));
        original = null; // whether it is too late does not depend on the scope: one of them publishes it
      }
    } else if (options.profileScope() != null && !row.isNullAt(PROFILE_KEY)) {
      byte[] bytes = Arrival.of(row.getLong(EVENT_TIME), place(row), profile(row)).toBytes();
      packed.add(new Tuple3<>(options.profileScope(), row.getString(PROFILE_KEY), bytes));
    }
    return packed.iterator();
  }

  private static Arrival.Place place(Row row) {
    return new Arrival.Place(row.getInt(PARTITION), row.getLong(OFFSET));
  }

  /** The trace of a message; null if it has none that is sampled. Of several headers of a name the last one counts. */
  private static TraceContext trace(Row row) {
    if (row.isNullAt(HEADERS)) {
      return null;
    }
    byte[] parent = null;
    byte[] state = null;
    for (Row header : row.<Row>getList(HEADERS)) {
      if (TraceContext.PARENT.equals(header.getString(0))) {
        parent = header.getAs(1);
      } else if (TraceContext.STATE.equals(header.getString(0))) {
        state = header.getAs(1);
      }
    }
    return TraceContext.of(parent, state);
  }

  private static Event event(Row row) {
    Event.Builder builder = new Event.Builder().times(row.getLong(EVENT_TIME), row.getLong(RAW_BROKER_TIME));
    for (Field field : Field.values()) {
      int at = FIELDS + field.ordinal();
      if (!row.isNullAt(at)) {
        switch (field.kind()) {
          case TEXT -> builder.text(field, row.getString(at));
          case INTEGER -> builder.integer(field, row.getLong(at));
          case DOUBLE -> builder.number(field, row.getDouble(at));
        }
      }
    }
    return builder.build();
  }

  private static Profile profile(Row row) {
    Profile.Builder builder = new Profile.Builder();
    for (ProfileField field : ProfileField.values()) {
      int at = PROFILE_FIELDS + field.ordinal();
      if (!row.isNullAt(at)) {
        switch (field.type()) {
          case INTEGER -> builder.integer(field, row.getLong(at));
          case DOUBLE -> builder.number(field, row.getDouble(at));
          case TEXTS -> builder.texts(field, row.getList(at));
          case INTEGERS -> builder.integers(field, row.getList(at));
          default -> throw new IllegalStateException(field + " is of no type that profiles have");
        }
      }
    }
    return builder.build();
  }
}
