"""Tests of how the platform is watched."""
