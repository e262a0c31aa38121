package cardwatch.engine.timeline.paged;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.CountingStore;
import cardwatch.engine.timeline.MemoryStore;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

class ValueIndexTest {
  private static Column column(Field field, int number) {
    Column column = new Column(Column.Kind.LATEST, 1, number, 0, 0);
    column.field = field;
    return column;
  }

  private static ByteBuffer text(String value) {
    return ValueIndex.key(column(Field.COUNTRY, 3), event().text(Field.COUNTRY, value).build());
  }

  private static ByteBuffer number(double value) {
    return ValueIndex.key(column(Field.LATITUDE, 3), event().number(Field.LATITUDE, value).build());
  }

  private static Event.Builder event() {
    return new Event.Builder().times(1, 1).text(Field.TRANSACTION_ID, "a");
  }

  @Test
  void valuesAndColumnsHaveDifferentKeys() {
    String longValue = "a value that is longer than a hash";
    assertEquals(text("x"), text("x"));
    assertNotEquals(text("x"), text("y"));
    assertEquals(text(longValue), text(longValue));
    assertNotEquals(text(longValue), text(longValue + "."));
    assertEquals(2 + 16, text(longValue).capacity());
    Event event = event().text(Field.COUNTRY, "x").build();
    assertNotEquals(text("x"), ValueIndex.key(column(Field.COUNTRY, 4), event));
  }

  @Test
  void equalNumbersAreOneValue() {
    assertEquals(number(0.0), number(-0.0));
    assertEquals(number(Double.NaN), number(Double.longBitsToDouble(0xfff8000000000001L)));
    assertNotEquals(number(1), number(2));
  }

  @Test
  void theStoreIsNotAskedForValuesOfANewColumn() {
    CountingStore store = new CountingStore();
    ValueIndex values = new ValueIndex(new Blocks(store));
    Column column = column(Field.COUNTRY, 1);
    column.isNew = true;
    assertNull(values.get(column, text("x")));
    assertEquals(0, store.reads());
    Name name = new Name(-3, 1L << 40, 63);
    values.put(text("x"), name);
    assertEquals(name, values.get(column, text("x")));
  }

  @Test
  void occurrencesAreWrittenWhenTheyAreSaved() {
    MemoryStore store = new MemoryStore();
    ValueIndex values = new ValueIndex(new Blocks(store));
    Name name = new Name(-3, 1L << 40, 63);
    values.put(text("x"), name);
    assertEquals(0, store.blocks());
    values.save();
    assertEquals(1, store.blocks());
    ValueIndex read = new ValueIndex(new Blocks(store));
    Column column = column(Field.COUNTRY, 1);
    assertEquals(name, read.get(column, text("x")));
    assertNull(read.get(column, text("y")));
    read.put(text("x"), null);
    read.save();
    assertEquals(0, store.blocks());
  }
}
