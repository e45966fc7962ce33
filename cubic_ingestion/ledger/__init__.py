"""The ledger: every table, load, snapshot and checkpoint, on SQLite or PostgreSQL through SQLAlchemy.

Here belong the statements, in parts by role, and the schema. Which load goes where, how often one is tried, and what is
done with it, is decided by the pipeline.
"""
