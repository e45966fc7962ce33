"""The metadata database: every table, load, snapshot and checkpoint, on SQLite or PostgreSQL through SQLAlchemy.

Here belongs what turns the port ``LoadRepository`` into SQL, and the schema. Which load goes where, how often one is
tried, and what is done with it, is decided by the pipeline.
"""
