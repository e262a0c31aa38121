package cardwatch.engine.event;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class EventTextsTest {
  @Test
  void rowsAreInsertedRemovedAndSplitLikeThoseOfAList() {
    Random random = new Random(1);
    for (int round = 0; round < 100; round++) {
      List<Event> expected = new ArrayList<>();
      EventTexts texts = new EventTexts(0);
      EventNumbers numbers = new EventNumbers(0);
      for (int step = 0; step < 100; step++) {
        int at = random.nextInt(expected.size() + 1);
        if (random.nextInt(3) > 0 || at == expected.size()) {
          expected.add(at, event(random, step));
          texts.insert(at, expected.get(at));
          numbers.insert(at, expected.get(at));
        } else {
          expected.remove(at);
          texts.remove(at, at + 1);
          numbers.remove(at, at + 1);
        }
      }
      int cut = random.nextInt(expected.size() + 1);
      check(expected.subList(cut, expected.size()), numbers.split(cut), texts.split(cut));
      check(expected.subList(0, cut), numbers, texts);
    }
  }

  private static void check(List<Event> expected, EventNumbers numbers, EventTexts texts) {
    ByteWriter writer = new ByteWriter(16);
    numbers.write(writer);
    texts.write(writer);
    ByteReader reader = new ByteReader(writer.toBytes());
    EventNumbers readNumbers = EventNumbers.read(reader, expected.size());
    EventTexts readTexts = EventTexts.read(reader, expected.size());
    assertEquals(0, reader.remaining());
    for (int at = 0; at < expected.size(); at++) {
      assertEquals(expected.get(at), Event.of(numbers, at, texts.get(at)));
      assertEquals(expected.get(at), Event.of(readNumbers, at, readTexts.get(at)));
      assertEquals(expected.get(at).id(), readTexts.id(at));
    }
  }

  @Test
  void textsThatNoRowHasAnyMoreAreNotPacked() {
    EventTexts texts = new EventTexts(0);
    for (int at = 0; at < 50; at++) {
      texts.insert(
          at, new Event.Builder().text(Field.TRANSACTION_ID, "t" + at).text(Field.DEVICE_ID, "device " + at).build());
    }
    texts.remove(1, 50);
    ByteWriter writer = new ByteWriter(16);
    texts.write(writer);
    assertTrue(writer.size() < 50, writer.size() + " bytes");
    assertTrue(Arrays.asList(texts.get(0)).contains("device 0"));
  }

  private static Event event(Random random, int step) {
    Event.Builder builder =
        new Event.Builder().times(random.nextInt(1000), step).text(Field.TRANSACTION_ID, "t" + step);
    for (int field = 1; field < Field.count(); field++) {
      if (random.nextInt(3) > 0) {
        switch (Field.at(field).kind()) {
          case TEXT -> builder.text(Field.at(field), "v" + random.nextInt(10));
          case INTEGER -> builder.integer(Field.at(field), random.nextInt(1000) - 500);
          case DOUBLE -> builder.number(Field.at(field), random.nextDouble());
        }
      }
    }
    return builder.build();
  }
}
