"""``make bench``: every benchmark at a size that takes a few minutes."""

from benchmarks import small_files

small_files.main([])
