package cardwatch.engine.spark;

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
    Arrival arrival = new Arrival(NOON, 3, 1L << 40, event, null);
    assertEquals(arrival, Arrival.of(arrival.toBytes()));
  }

  @Test
  void aProfileComesBackAsItWas() {
    Profile profile = new Profile.Builder()
                          .integer(ProfileField.TRANSACTIONS_90D, 12)
                          .number(ProfileField.MEAN_AMOUNT_MINOR_90D, 1234.5678)
                          .texts(ProfileField.COUNTRIES_90D, List.of("DE", "FR"))
                          .integers(ProfileField.HOURS_90D, List.of(0L, 23L))
                          .build();
    Arrival read = Arrival.of(new Arrival(-NOON, 0, 0, null, profile).toBytes());
    assertEquals(profile, read.profile());
    assertEquals(-NOON, read.time());
    assertNull(read.event());
  }
}
