package cardwatch.engine.program;

import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;

/** Distances on the earth. */
final class GreatCircle {
  /** Mean radius of the earth, kilometres (IUGG: (2a + b) / 3 of WGS 84). */
  private static final double EARTH_RADIUS_KM = 6371.0088;

  private static final double METRES_PER_KM = 1000;

  private GreatCircle() {}

  /** Between two located events, kilometres, by the haversine formula, rounded to the metre, half to even. */
  static double km(Event here, Event there) {
    double phi = Math.toRadians(here.number(Field.LATITUDE));
    double otherPhi = Math.toRadians(there.number(Field.LATITUDE));
    double turn = Math.toRadians(there.number(Field.LONGITUDE)) - Math.toRadians(here.number(Field.LONGITUDE));
    double rise = Math.sin((otherPhi - phi) / 2);
    double run = Math.sin(turn / 2);
    double haversine = rise * rise + Math.cos(phi) * Math.cos(otherPhi) * (run * run);
    // To the metre, because the last digits of a sine depend on what computes it.
    double km = 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(1, Math.max(0, haversine))));
    return Math.rint(km * METRES_PER_KM) / METRES_PER_KM;
  }
}
