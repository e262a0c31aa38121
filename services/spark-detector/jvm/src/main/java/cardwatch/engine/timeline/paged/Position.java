package cardwatch.engine.timeline.paged;

/**
 * Where an event is, until the next insertion.
 *
 * @param page position of its page
 * @param leaf position of its leaf in the page
 * @param index its position in the leaf
 */
record Position(int page, int leaf, int index) {}
