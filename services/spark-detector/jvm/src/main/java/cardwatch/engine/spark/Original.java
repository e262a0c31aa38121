package cardwatch.engine.spark;

/**
 * The message of a transaction, which is published again, unchanged, if it came too late.
 *
 * @param key the key to publish it under: its card's token as the message has it
 * @param value the message's value
 * @param scopes the scopes in which the transaction has a key, comma separated
 */
record Original(String key, byte[] value, String scopes) {}
