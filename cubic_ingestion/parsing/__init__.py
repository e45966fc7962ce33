"""Bytes to Arrow: delimited text, JSON, ``.dfm`` sidecars, and casts from text to types."""
