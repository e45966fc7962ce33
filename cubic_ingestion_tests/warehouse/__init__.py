"""Tests of the warehouse: on SQLite and PostgreSQL with a local folder, and on Glue and S3 over HTTP."""
