package cardwatch.engine.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.program.Profile;
import cardwatch.engine.program.ProfileField;
import java.util.List;
import org.junit.jupiter.api.Test;

class ArrivalTest {
  private static final long NOON = 1_795_521_600_000_000L;

  @Test
  void aTransactionComesBackAsItWas() {
    Event event = new Event.Builder()
                      .times(NOON, NOON + 7)
                      .text(Field.TRANSACTION_ID, "t1")
                      .text(Field.COUNTRY, "DE")
                      .integer(Field.AMOUNT_MINOR, -5)
                      .number(Field.LATITUDE, 48.137)
                      .build();
    Arrival.Place place = new Arrival.Place(3, 1L << 40);
    Arrival arrival = new Arrival(NOON, place, event, null, null, null);
    assertEquals(arrival, Arrival.of(arrival.toBytes(), 0));
    TraceContext trace = new TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "a0f067aa0ba902b7", "vendor=1");
    byte[] message = {0, 0, 0, 0, 7, -1};
    Arrival whole = new Arrival(NOON, place, event, null, new Original("card", message, "card,merchant"), trace);
    Arrival read = Arrival.of(whole.toBytes(), NOON + 1);
    assertEquals(trace, read.trace());
    assertEquals("card", read.original().key());
    assertArrayEquals(message, read.original().value());
    assertEquals("card,merchant", read.original().scopes());
    assertEquals(event, read.event());
    Arrival inTime = new Arrival(NOON, place, event, null, null, trace);
    assertEquals(inTime, Arrival.of(whole.toBytes(), NOON), "nobody needs its message");
  }

  @Test
  void aProfileComesBackAsItWas() {
    Profile profile = new Profile.Builder()
                          .integer(ProfileField.TRANSACTIONS_90D, 12)
                          .number(ProfileField.MEAN_AMOUNT_MINOR_90D, 1234.5678)
                          .texts(ProfileField.COUNTRIES_90D, List.of("DE", "FR"))
                          .integers(ProfileField.HOURS_90D, List.of(0L, 23L))
                          .build();
    Arrival read = Arrival.of(Arrival.of(-NOON, new Arrival.Place(0, 0), profile).toBytes(), 0);
    assertEquals(profile, read.profile());
    assertEquals(-NOON, read.time());
    assertNull(read.event());
  }
}
