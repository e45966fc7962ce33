"""Crashes, errors and changed files at every step of a load's way, and what is found afterwards."""
