"""``cubic``: the command line, for people and scripts."""

from cubic_ingestion.cli.app import main

__all__ = ["main"]
