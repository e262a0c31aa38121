"""The SQL of the outbox in a SQLite file."""

from typing import Final

READ_INSTANCE_ID: Final = "SELECT instance_id FROM outbox"
READ_POSITIONS: Final = "SELECT topic, topic_id, partition, next_offset FROM positions"
SET_POSITION: Final = """
    INSERT INTO positions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset
"""

READ_NOTIFIED: Final = "SELECT told, transitions FROM alerts WHERE alert_id = ?"
SET_ALERT: Final = """
    INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    status = excluded.status, mode = excluded.mode, told = excluded.told,
    transitions = excluded.transitions, last_seen_at = excluded.last_seen_at
"""
ADD_MESSAGE: Final = """
    INSERT INTO messages
        (message_id, alert_id, body, created_at, event_time, raw_broker_time, detected_at, trace_context)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_DELIVERY: Final = """
    INSERT INTO deliveries (sequence, receiver, alert_id, state, next_attempt_at) VALUES (?, ?, ?, 'pending', ?)
"""

READ_DUE: Final = """
    SELECT m.sequence, m.message_id, m.alert_id, m.body, m.created_at, m.event_time, m.raw_broker_time, m.detected_at,
           m.trace_context, d.attempts, d.rejections
    FROM deliveries d JOIN messages m USING (sequence)
    WHERE d.receiver = ? AND d.state = 'pending' AND d.next_attempt_at <= ?
      AND NOT EXISTS (
          SELECT 1 FROM deliveries earlier
          WHERE earlier.receiver = d.receiver AND earlier.alert_id = d.alert_id AND earlier.sequence < d.sequence
            AND earlier.state <> 'delivered')
      AND NOT EXISTS (SELECT 1 FROM receivers WHERE name = d.receiver AND disabled_at IS NOT NULL)
    ORDER BY d.next_attempt_at, d.sequence LIMIT ?
"""
READ_NEXT_DUE: Final = """
    SELECT min(next_attempt_at) FROM deliveries WHERE receiver = ? AND state = 'pending' AND next_attempt_at > ?
"""
RECORD_ATTEMPT: Final = """
    UPDATE deliveries SET state = ?, attempts = attempts + ?, rejections = rejections + ?,
    next_attempt_at = ?, last_attempt_at = ?, last_error = ? WHERE receiver = ? AND sequence = ?
"""
COUNT_DELIVERED: Final = "UPDATE receivers SET delivered = delivered + ? WHERE name = ?"
RETRY_FAILED: Final = """
    UPDATE deliveries SET state = 'pending', attempts = 0, rejections = 0, next_attempt_at = ?1
    WHERE state = 'failed' AND (?2 IS NULL OR receiver = ?2)
"""

ATTACH_RECEIVER: Final = """
    INSERT INTO receivers (name, target) VALUES (?, ?) ON CONFLICT DO UPDATE SET
    target = excluded.target, disabled_at = NULL, disabled_reason = ''
    WHERE target <> excluded.target
"""
DISABLE_RECEIVER: Final = """
    UPDATE receivers SET disabled_at = ?, disabled_reason = ? WHERE name = ? AND disabled_at IS NULL
"""
ENABLE_RECEIVERS: Final = """
    UPDATE receivers SET disabled_at = NULL, disabled_reason = '' WHERE ?1 IS NULL OR name = ?1
"""
# Counts what is left to do by index; delivered ones, which are many, are counted as they happen.
READ_BACKLOG: Final = """
    SELECT name,
           (SELECT count(*) FROM deliveries WHERE receiver = name AND state = 'pending'),
           delivered,
           (SELECT count(*) FROM deliveries WHERE receiver = name AND state = 'failed'),
           (SELECT created_at FROM messages WHERE sequence =
               (SELECT min(sequence) FROM deliveries WHERE receiver = name AND state = 'pending')),
           disabled_reason
    FROM receivers ORDER BY name
"""

FIND_PRUNABLE: Final = """
    SELECT sequence FROM messages m
    WHERE created_at < ?
      AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.sequence = m.sequence AND d.state <> 'delivered')
    LIMIT ?
"""
DELETE_DELIVERIES: Final = "DELETE FROM deliveries WHERE sequence = ?"
DELETE_MESSAGE: Final = "DELETE FROM messages WHERE sequence = ?"
