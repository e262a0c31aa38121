package cardwatch.engine.program;

import cardwatch.engine.event.Field;
import cardwatch.engine.event.Row;
import cardwatch.engine.timeline.Mask;
import java.util.List;

/**
 * The events for which a measure's condition holds and its fields are not null.
 *
 * @param where the condition; null for none
 * @param fields the fields
 * @param fingerprint of both, and of the lists that the condition uses
 */
record WhereMask(Condition where, List<Field> fields, long fingerprint) implements Mask {
  @Override
  public boolean includes(Row event) {
    for (Field field : fields) {
      if (event.isNull(field)) {
        return false;
      }
    }
    return where == null || where.holds(event, null, Profile.NONE);
  }
}
