"""Alembic's entry: runs on the connection that `app.migrations.alembic.run` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
target = context.config.attributes.get("target_metadata")
context.configure(connection=connection, target_metadata=target, render_as_batch=True, transactional_ddl=True)
context.run_migrations()
