"""Tests of the fake vendor, by real HTTP: a double that is wrong makes other tests right by mistake."""
