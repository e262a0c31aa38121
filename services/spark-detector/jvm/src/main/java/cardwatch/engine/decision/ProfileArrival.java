package cardwatch.engine.decision;

import cardwatch.engine.program.Profile;
import cardwatch.engine.program.ProfileField;

/**
 * A profile that came.
 *
 * @param validOn the beginning of the UTC day for whose transactions it is, microseconds
 * @param arrivedAt when it came, microseconds: what it changes is counted from then, because nobody stamps a profile on
 *     its way
 */
public record ProfileArrival(long validOn, long arrivedAt, Profile profile) {
  /** The number of transactions that it is made of; −1 if it does not say. */
  long transactions() {
    return profile.isNull(ProfileField.TRANSACTIONS_90D) ? -1 : profile.integer(ProfileField.TRANSACTIONS_90D);
  }
}
