"""The SQL of the outbox in a PostgreSQL database."""

from typing import Final

READ_INSTANCE_ID: Final = "SELECT instance_id FROM outbox"
READ_POSITIONS: Final = "SELECT topic, topic_id, partition, next_offset FROM positions"
LOCK_POSITIONS: Final = """
    INSERT INTO positions AS known (topic, topic_id, partition, next_offset)
    SELECT topic, topic_id, partition, 0
    FROM unnest(%s::text[], %s::text[], %s::integer[]) AS asked (topic, topic_id, partition)
    ORDER BY topic, topic_id, partition
    ON CONFLICT (topic, topic_id, partition) DO UPDATE SET next_offset = known.next_offset
    RETURNING topic, topic_id, partition, next_offset
"""
SET_POSITION: Final = """
    UPDATE positions SET next_offset = %s WHERE topic = %s AND topic_id = %s AND partition = %s
"""
LOCK_ALERTS: Final = """
    INSERT INTO alerts AS known (alert_id, rule_id, status, mode, transitions, first_seen_at, last_seen_at)
    SELECT alert_id, rule_id, status, mode, 0, %(now)s, %(now)s
    FROM unnest(%(ids)s::uuid[], %(rules)s::text[], %(statuses)s::text[], %(modes)s::text[])
         AS asked (alert_id, rule_id, status, mode)
    ORDER BY alert_id
    ON CONFLICT (alert_id) DO UPDATE
        SET status = excluded.status, mode = excluded.mode, last_seen_at = excluded.last_seen_at
    RETURNING alert_id, told, transitions
"""
SET_NOTIFIED: Final = """
    UPDATE alerts SET told = changes.told, transitions = changes.transitions
    FROM unnest(%s::uuid[], %s::text[], %s::integer[]) AS changes (alert_id, told, transitions)
    WHERE alerts.alert_id = changes.alert_id
"""
# Numbered in the order of the events: the default is computed after the sort.
ADD_MESSAGES: Final = """
    INSERT INTO messages
        (message_id, alert_id, body, created_at, event_time, raw_broker_time, detected_at, trace_context)
    SELECT message_id, alert_id, body, %(now)s, event_time, raw_broker_time, detected_at, trace_context
    FROM unnest(%(message_ids)s::text[], %(alert_ids)s::uuid[], %(bodies)s::text[], %(event_times)s::bigint[],
                %(broker_times)s::bigint[], %(detected)s::bigint[], %(traces)s::text[]) WITH ORDINALITY
         AS told (message_id, alert_id, body, event_time, raw_broker_time, detected_at, trace_context, place)
    ORDER BY place
    RETURNING sequence, alert_id
"""
ADD_DELIVERIES: Final = """
    INSERT INTO deliveries (sequence, alert_id, receiver, state, next_attempt_at)
    SELECT sequence, alert_id, receiver, 'pending', %s
    FROM unnest(%s::bigint[], %s::uuid[]) AS message (sequence, alert_id), unnest(%s::text[]) AS receiver
"""
LEASE_DUE: Final = """
    WITH due AS MATERIALIZED (
        SELECT sequence FROM deliveries d
        WHERE receiver = %(receiver)s AND state = 'pending' AND next_attempt_at <= %(now)s
          AND (leased_until IS NULL OR leased_until <= statement_timestamp())
          AND NOT EXISTS (
              SELECT FROM deliveries earlier
              WHERE earlier.receiver = d.receiver AND earlier.alert_id = d.alert_id AND earlier.sequence < d.sequence
                AND earlier.state <> 'delivered')
          AND NOT EXISTS (SELECT FROM receivers WHERE name = d.receiver AND disabled_at IS NOT NULL)
        ORDER BY next_attempt_at, sequence LIMIT %(limit)s
        FOR UPDATE OF d SKIP LOCKED)
    UPDATE deliveries d
    SET leased_by = %(holder)s, leased_until = clock_timestamp() + make_interval(secs => %(seconds)s)
    FROM due, messages m
    WHERE d.receiver = %(receiver)s AND d.sequence = due.sequence AND m.sequence = due.sequence
    RETURNING d.next_attempt_at, m.sequence, m.message_id, m.alert_id::text, m.body, m.created_at, m.event_time,
              m.raw_broker_time, m.detected_at, m.trace_context, d.attempts, d.rejections
"""
RENEW_LEASES: Final = """
    UPDATE deliveries SET leased_until = clock_timestamp() + make_interval(secs => %s)
    WHERE receiver = %s AND sequence = ANY(%s) AND leased_by = %s RETURNING sequence
"""
RELEASE_LEASES: Final = """
    UPDATE deliveries SET leased_by = NULL, leased_until = NULL
    WHERE receiver = %s AND sequence = ANY(%s) AND leased_by = %s
"""
RECORD_ATTEMPTS: Final = """
    UPDATE deliveries d
    SET state = attempt.state, attempts = attempts + attempt.counted, rejections = rejections + attempt.rejected,
        next_attempt_at = attempt.next_attempt_at, last_attempt_at = attempt.at, last_error = attempt.error,
        leased_by = NULL, leased_until = NULL
    FROM unnest(%(sequences)s::bigint[], %(states)s::text[], %(counted)s::integer[], %(rejected)s::integer[],
                %(next)s::bigint[], %(at)s::bigint[], %(errors)s::text[])
         AS attempt (sequence, state, counted, rejected, next_attempt_at, at, error)
    WHERE d.receiver = %(receiver)s AND d.sequence = attempt.sequence AND d.leased_by = %(holder)s
    RETURNING d.state
"""
COUNT_DELIVERED: Final = "UPDATE receivers SET delivered = delivered + %s WHERE name = %s"
RETRY_FAILED: Final = """
    UPDATE deliveries SET state = 'pending', attempts = 0, rejections = 0, next_attempt_at = %(now)s
    WHERE state = 'failed' AND (%(receiver)s::text IS NULL OR receiver = %(receiver)s)
"""
READ_NEXT_DUE: Final = """
    SELECT min(next_attempt_at) FROM deliveries WHERE receiver = %s AND state = 'pending' AND next_attempt_at > %s
"""
ATTACH_RECEIVER: Final = """
    INSERT INTO receivers AS known (name, target) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET target = excluded.target, disabled_at = NULL, disabled_reason = ''
    WHERE known.target <> excluded.target
"""
DISABLE_RECEIVER: Final = """
    UPDATE receivers SET disabled_at = %s, disabled_reason = %s WHERE name = %s AND disabled_at IS NULL
"""
ENABLE_RECEIVERS: Final = """
    UPDATE receivers SET disabled_at = NULL, disabled_reason = ''
    WHERE %(receiver)s::text IS NULL OR name = %(receiver)s
"""
# Reads what is left to do by its index; delivered ones, which are many, are counted as they happen.
READ_BACKLOG: Final = """
    SELECT name, coalesce(pending, 0), delivered, coalesce(failed, 0), created_at, disabled_reason
    FROM receivers
    LEFT JOIN (
        SELECT receiver, count(*) FILTER (WHERE state = 'pending') AS pending,
               count(*) FILTER (WHERE state = 'failed') AS failed,
               min(sequence) FILTER (WHERE state = 'pending') AS oldest
        FROM deliveries WHERE state <> 'delivered' GROUP BY receiver) AS undelivered ON receiver = name
    LEFT JOIN messages ON sequence = oldest
    ORDER BY name
"""
FIND_PRUNABLE: Final = """
    SELECT sequence FROM messages m
    WHERE created_at < %s
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.sequence = m.sequence AND d.state <> 'delivered')
    LIMIT %s
"""
DELETE_DELIVERIES: Final = "DELETE FROM deliveries WHERE sequence = ANY(%s)"
DELETE_MESSAGES: Final = "DELETE FROM messages WHERE sequence = ANY(%s)"
