package cardwatch.engine.decision;

import static org.junit.jupiter.api.Assertions.assertEquals;

import cardwatch.engine.RandomExamples;
import cardwatch.engine.event.Event;
import cardwatch.engine.event.Field;
import cardwatch.engine.timeline.ArrayTimeline;
import cardwatch.engine.timeline.HitBits;
import cardwatch.engine.timeline.MemoryStore;
import cardwatch.engine.timeline.Timeline;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SuppressionTest {
  private static final long RULE = 1;

  @Test
  void eachHitIsCountedOnTheAlertThatTheDefinitionSays() {
    for (int seed = 0; seed < RandomExamples.of(3000); seed++) {
      Random chance = new Random(seed);
      long length = 1 + chance.nextInt(12);
      Timeline timeline = timeline(chance, length);
      HitBits hits = timeline.hits(RULE);
      List<Integer> alerts = alertsByDefinition(timeline, hits, length);
      Suppression suppression = new Suppression(timeline, hits, length);
      for (int hit = hits.first(0, timeline.size()); hit >= 0; hit = hits.first(hit + 1, timeline.size())) {
        assertEquals(alerts.get(hit), suppression.alertOf(hit), "seed " + seed);
      }
    }
  }

  @Test
  void nothingBeforeSevenLengthsMatters() {
    for (int seed = 0; seed < RandomExamples.of(3000); seed++) {
      Random chance = new Random(seed);
      long length = 1 + chance.nextInt(6);
      Timeline timeline = timeline(chance, length);
      HitBits hits = timeline.hits(RULE);
      int hit = hits.last(0, timeline.size());
      int alert = new Suppression(timeline, hits, length).alertOf(hit);
      int unknown = timeline.firstAfter(timeline.time(hit) - Suppression.REACH * length);
      for (int at = 0; at < unknown; at++) {
        hits.set(at, chance.nextBoolean());
      }
      assertEquals(alert, new Suppression(timeline, hits, length).alertOf(hit), "seed " + seed);
    }
  }

  /** Events close to each other, before and after 1970, of which most are hits; the last one is. */
  private static Timeline timeline(Random chance, long length) {
    Timeline timeline = ArrayTimeline.open(new MemoryStore(), ExampleRules.TRACKS);
    int step = 1 + chance.nextInt((int) length + 1);
    long time = -chance.nextInt(200);
    int number = 1 + chance.nextInt(60);
    for (int at = 0; at < number; at++) {
      time += chance.nextInt(20) == 0 ? 3 * length : chance.nextInt(step + 1);
      timeline.insert(new Event.Builder().times(time, 0).text(Field.TRANSACTION_ID, "t%03d".formatted(at)).build());
    }
    HitBits hits = timeline.hits(RULE);
    int among = 1 + chance.nextInt(4);
    for (int at = 0; at < number; at++) {
      hits.set(at, at == number - 1 || chance.nextInt(among) == 0);
    }
    return timeline;
  }

  /** By ordinal: the hit on whose alert each hit is counted. */
  private static List<Integer> alertsByDefinition(Timeline timeline, HitBits hits, long length) {
    List<Integer> alerts = new ArrayList<>();
    Set<Long> slots = new HashSet<>();
    int latest = -1;
    int previous = -1;
    long opening = 0;
    for (int at = 0; at < timeline.size(); at++) {
      if (hits.get(at)) {
        long time = timeline.time(at);
        boolean opens = previous < 0 || timeline.time(previous) <= time - length;
        boolean mayRepeat = !opens && opening <= time - length && Math.floorMod(time, 2 * length) < length;
        opening = opens ? time : opening;
        latest = opens || mayRepeat && slots.add(Math.floorDiv(time, 2 * length)) ? at : latest;
        previous = at;
      }
      alerts.add(latest);
    }
    return alerts;
  }
}
