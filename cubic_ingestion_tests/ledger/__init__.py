"""Tests of the metadata database: engine, schema, migrations, and what only one of its two databases does."""
