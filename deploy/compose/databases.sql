-- Dagster's own database, beside the metadata database: both keep a table of their migrations under the same name.
CREATE DATABASE dagster;
