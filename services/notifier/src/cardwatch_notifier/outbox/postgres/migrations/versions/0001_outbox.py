"""The outbox.

Times are microseconds since 1970-01-01 UTC, as in events; only leases are by the database's clock, which is one for all
replicas.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0001"
down_revision = None

_UNDELIVERED = sa.text("state <> 'delivered'")
_PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    """Create the tables."""
    _create_outbox_and_positions()
    _create_alerts_and_messages()
    _create_deliveries_and_receivers()


def _create_outbox_and_positions() -> None:
    op.create_table(
        "outbox",
        sa.Column("instance_id", UUID, nullable=False),
        sa.Column("one_row", sa.Boolean, sa.CheckConstraint("one_row"), primary_key=True, server_default=sa.true()),
    )
    op.execute("INSERT INTO outbox (instance_id) VALUES (gen_random_uuid())")
    op.create_table(
        "positions",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("topic_id", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
    )


def _create_alerts_and_messages() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", UUID, primary_key=True),
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False, comment="of the last event"),
        sa.Column("mode", sa.Text, nullable=False, comment="of the last event"),
        sa.Column("told", sa.Text, comment="the last status that receivers were told"),
        sa.Column("transitions", sa.Integer, nullable=False, comment="how often they were told anything"),
        sa.Column("first_seen_at", sa.BigInteger, nullable=False),
        sa.Column("last_seen_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "messages",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("message_id", sa.Text, nullable=False, unique=True),
        sa.Column("alert_id", UUID, nullable=False),
        sa.Column("body", sa.Text, nullable=False, comment="JSON, the same on every retry"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("event_time", sa.BigInteger, nullable=False),
        sa.Column("raw_broker_time", sa.BigInteger, nullable=False),
        sa.Column("detected_at", sa.BigInteger, nullable=False),
        sa.Column("trace_context", sa.Text, comment="W3C traceparent"),
    )
    op.create_index("messages_by_age", "messages", ["created_at"])


def _create_deliveries_and_receivers() -> None:
    op.create_table(
        "deliveries",
        sa.Column("sequence", sa.BigInteger, sa.ForeignKey("messages.sequence"), primary_key=True, autoincrement=False),
        sa.Column("receiver", sa.Text, primary_key=True),
        sa.Column("alert_id", UUID, nullable=False),
        sa.Column("state", sa.Text, sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')"), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("rejections", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", sa.BigInteger, nullable=False),
        sa.Column("last_attempt_at", sa.BigInteger),
        sa.Column("last_error", sa.Text, nullable=False, server_default=""),
        sa.Column("leased_by", UUID, comment="the process that is delivering it"),
        sa.Column("leased_until", sa.DateTime(timezone=True), comment="when another one may take it over"),
        # Room on the page for the versions of a row that leasing and recording make.
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "deliveries_due", "deliveries", ["receiver", "next_attempt_at", "sequence"], postgresql_where=_PENDING
    )
    op.create_index(
        "deliveries_in_order", "deliveries", ["receiver", "alert_id", "sequence"], postgresql_where=_UNDELIVERED
    )
    op.create_table(
        "receivers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("disabled_at", sa.BigInteger),
        sa.Column("disabled_reason", sa.Text, nullable=False, server_default=""),
    )
