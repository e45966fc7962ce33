"""Counts in sentences for people."""

import re
from pathlib import Path

import cubic_ingestion
from cubic_ingestion.domain.counted import counted

NOUNS = "loads|objects|records|changes|partitions|rows|files|days|shards"
ALWAYS_SEVERAL = {
    "changed_loads.py",  # more than the thousand that are shown
    "glue_partitions.py",  # a page that Glue refused
    "metrics.py",  # the constant RECENT_LOADS
    "frames.py",  # one partition takes one frame
    "matching.py",  # more values than a number of columns that is allowed
}


def test_one_thing_is_named_in_the_singular_and_any_other_number_in_the_plural() -> None:
    assert counted(1, "load") == "1 load"
    assert counted(0, "load") == "0 loads"
    assert counted(1_000, "day has", "days have") == "1,000 days have"


def test_every_text_that_counts_has_its_noun_agree() -> None:
    folder = Path(cubic_ingestion.__file__).parent
    found = [
        f"{path.name}: {line.strip()}"
        for path in folder.rglob("*.py")
        if path.name not in ALWAYS_SEVERAL and "fake_vendor" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(rf"\}} ({NOUNS})\b", line)
    ]

    assert found == []
