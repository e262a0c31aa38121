package cardwatch.engine.event;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class FieldTest {
  @Test
  void eachFieldIsFoundByItsAvroName() {
    for (Field field : Field.values()) {
      assertEquals(field, Field.of(field.avroName()));
      assertEquals(field, Field.at(field.ordinal()));
    }
    assertEquals("base_amount_minor", Field.BASE_AMOUNT_MINOR.avroName());
  }

  @Test
  void anUnknownNameIsNamed() {
    var error = assertThrows(IllegalArgumentException.class, () -> Field.of("amount"));
    assertEquals("there is no field amount", error.getMessage());
  }
}
