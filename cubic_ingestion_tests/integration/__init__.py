"""Tests of the whole: real files through the real parts."""
