"""The schema: which revision a database has, and that models and migrations say the same."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from cubic_ingestion.errors import SchemaRevisionError
from cubic_ingestion.ledger import change_models
from cubic_ingestion.ledger import upgrade as schema
from cubic_ingestion_tests.databases import an_engine


def test_the_models_are_what_the_newest_migration_makes(engine: Engine) -> None:
    with engine.connect() as connection:
        # The module that is imported last knows the models of both.
        assert compare_metadata(MigrationContext.configure(connection), change_models.Base.metadata) == []


def test_the_expected_revision_is_the_last_migration() -> None:
    configuration = Config()
    configuration.set_main_option("script_location", "cubic_ingestion.ledger:migrations")
    assert ScriptDirectory.from_config(configuration).get_current_head() == schema.NEWEST


def test_an_empty_database_has_no_revision_and_is_refused(empty_database_url: str) -> None:
    with an_engine(empty_database_url) as engine:
        assert schema.current_revision(engine) is None
        with pytest.raises(SchemaRevisionError, match="cubic db upgrade"):
            schema.require_newest(engine)


def test_upgrading_twice_is_upgrading_once(empty_database_url: str) -> None:
    with an_engine(empty_database_url) as engine:
        schema.upgrade(engine)
        schema.upgrade(engine)
        schema.require_newest(engine)


def test_downgrading_to_nothing_leaves_no_table(engine: Engine) -> None:
    schema.downgrade(engine, "0001")
    schema.downgrade(engine, "base")
    with engine.connect() as connection:
        assert [name for name in inspect(connection).get_table_names() if name.startswith("cubic_")] == []
