package cardwatch.engine.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class SinkControlTest {
  private int questions;
  private String answer = "{\"refused\": \"\", \"held_seconds\": 60}";
  private final SinkControl control = SinkControl.open(begins -> {
    questions++;
    return answer;
  });

  @Test
  void itIsAskedAgainOnlyWhenTheRightHasEnded() {
    control.check();
    control.check();
    assertEquals(1, questions);
    answer = "{\"refused\": \"\", \"held_seconds\": 0}";
    SinkControl shortLived = SinkControl.open(begins -> {
      questions++;
      return answer;
    });
    shortLived.check();
    shortLived.check();
    assertEquals(3, questions);
  }

  @Test
  void whatIsRefusedIsNotWritten() {
    answer = "{\"refused\": \"the lease is lost\", \"held_seconds\": 0}";
    for (int times = 0; times < 2; times++) {
      assertEquals("the lease is lost", assertThrows(IllegalStateException.class, control::check).getMessage());
    }
    assertEquals("the lease is lost", assertThrows(IllegalStateException.class, control::begin).getMessage());
    answer = "{}";
    assertThrows(RuntimeException.class, control::check);
  }

  @Test
  void aMicroBatchWithoutRulesDoesNotBegin() {
    assertThrows(IllegalStateException.class, control::begin);
  }

  @Test
  void reportsAreTakenOnceInTheirOrder() {
    control.published("{\"a\":1}");
    control.published("{\"b\":2}");
    assertEquals("[{\"a\":1},{\"b\":2}]", control.takeReports());
    assertEquals("[]", control.takeReports());
  }

  @Test
  void itIsFoundUntilItIsClosed() {
    assertSame(control, SinkControl.find(control.id()));
    control.close();
    assertNull(SinkControl.find(control.id()));
  }
}
