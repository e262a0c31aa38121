package cardwatch.engine.timeline.paged;

import cardwatch.engine.event.Event;
import java.nio.ByteBuffer;

/**
 * The occurrences of each value of a column of distinct values: an index of the latest one, and a link from each to the
 * one before it. A bit of each event says whether its value has no later occurrence; of the events from some event to
 * the last one, as many have it as there are different values.
 *
 * <p>An occurrence that is not the latest costs a step for each later occurrence of its value.
 */
final class Occurrences {
  private final Pages pages;
  private final ValueIndex values;
  private final Evictions evictions;

  Occurrences(Pages pages, ValueIndex values, Evictions evictions) {
    this.pages = pages;
    this.values = values;
    this.evictions = evictions;
  }

  /** Note an event that has been inserted and that the column's mask includes. */
  void add(Column column, Event event, Position at) {
    Leaf leaf = pages.leaf(at);
    Name name = leaf.name(at.index());
    ByteBuffer key = ValueIndex.key(column, event);
    Name latest = living(values.get(column, key));
    if (latest == null || isAfter(event, latest)) {
      leaf.setLink(column.number, name.slot(), latest);
      if (latest != null) {
        setLatest(column, pages.locate(latest), latest.slot(), false);
      }
      setLatest(column, at, name.slot(), true);
      values.put(key, name);
      return;
    }
    Name next = latest;
    Name previous = previous(column, next);
    while (previous != null && !isAfter(event, previous)) {
      next = previous;
      previous = previous(column, next);
    }
    leaf.setLink(column.number, name.slot(), previous);
    pages.leaf(pages.locate(next)).setLink(column.number, next.slot(), name);
  }

  /** Forget an event that the column's mask includes and that is going to be removed. */
  void remove(Column column, Event event, Position at) {
    Name name = pages.leaf(at).name(at.index());
    ByteBuffer key = ValueIndex.key(column, event);
    Name previous = previous(column, name);
    Name next = living(values.get(column, key));
    if (name.equals(next)) {
      values.put(key, previous);
      if (previous != null) {
        setLatest(column, pages.locate(previous), previous.slot(), true);
      }
      setLatest(column, at, name.slot(), false);
      return;
    }
    Name before = previous(column, next);
    while (!name.equals(before)) {
      next = before;
      before = previous(column, next);
    }
    pages.leaf(pages.locate(next)).setLink(column.number, next.slot(), previous);
  }

  /** Forget an event that has been evicted; links to it are known to lead nowhere. */
  void evict(Column column, Event event, Name name) {
    ByteBuffer key = ValueIndex.key(column, event);
    if (name.equals(values.get(column, key))) {
      values.put(key, null);
    }
  }

  /** Forget, in retired columns, the value of an event that is going to be removed, if it is the value's latest one. */
  void forgetRetired(Event event, Position at) {
    int slot = pages.leaf(at).slot(at.index());
    for (Column column : pages.columns().all()) {
      if (column.isRetired && Bits.get(pages.get(at.page()).values(column)[0][at.leaf()], slot)) {
        values.put(ValueIndex.key(column, event), null);
      }
    }
  }

  /** The previous occurrence of an event's value; null if there is none any more. */
  Name previous(Column column, Name of) {
    return previous(column, pages.locate(of), of.slot());
  }

  /** The previous occurrence of the value of the event in a slot of a leaf; null if there is none any more. */
  Name previous(Column column, Position leaf, int slot) {
    return living(pages.leaf(leaf).links().get(column.number, slot));
  }

  private Name living(Name name) {
    return name == null || evictions.isGone(name) ? null : name;
  }

  private void setLatest(Column column, Position at, int slot, boolean isLatest) {
    long[] bits = pages.get(at.page()).changing(column)[0];
    bits[at.leaf()] = Bits.with(bits[at.leaf()], slot, isLatest);
    column.totals[0][at.page()] += isLatest ? 1 : -1;
  }

  private boolean isAfter(Event event, Name name) {
    if (event.eventTime() != name.time()) {
      return event.eventTime() > name.time();
    }
    Leaf leaf = pages.leaf(pages.locate(name));
    return Event.compareTexts(event.id(), leaf.id(leaf.find(name))) > 0;
  }
}
