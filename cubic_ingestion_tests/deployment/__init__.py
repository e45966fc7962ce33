"""Tests of ``deploy/`` and of what runs by it: configuration that loads, and many workers for real."""
