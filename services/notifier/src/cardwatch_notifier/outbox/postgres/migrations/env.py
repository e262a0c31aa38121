"""Runs migrations on the connection that ``schema.migrate`` provides, all of them in one transaction."""

from alembic import context

from cardwatch_notifier.outbox.postgres.schema import VERSION_TABLE, lock

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    # Others that migrate wait here, and see the schema as this transaction leaves it.
    lock(context.get_bind())
    context.run_migrations()
