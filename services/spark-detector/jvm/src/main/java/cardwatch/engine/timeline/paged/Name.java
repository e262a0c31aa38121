package cardwatch.engine.timeline.paged;

/**
 * What an event is called in links, for as long as it exists, wherever leaves are split.
 *
 * @param time its event time, by which its leaf is found
 * @param arrival its arrival number in the key, by which it is found where several leaves hold events of its time
 * @param slot its slot in its leaf, by which its bit and its links are found
 */
record Name(long time, long arrival, int slot) {}
