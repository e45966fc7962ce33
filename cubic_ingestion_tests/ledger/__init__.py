"""Tests of the ledger: engine, schema, migrations, and what only one of its two databases does."""
