"""What Alembic runs: the migrations, on a connection whose owner commits them."""

from alembic import context

from invsync.state.schema import META, VERSION

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=META,
    version_table=VERSION.name,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
