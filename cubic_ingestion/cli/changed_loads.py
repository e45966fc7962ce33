"""Loads that a command changes: which ones are meant, and what became of each, page by page: there may be millions."""

from array import array
from typing import TYPE_CHECKING

from cubic_ingestion.cli.loads import line, load_pages, one_load
from cubic_ingestion.cli.output import print_json_lists, print_rows, say, warn
from cubic_ingestion.domain.status import LoadStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cubic_ingestion.domain.load import Load
    from cubic_ingestion.pipeline.ingestion_platform import Platform

    Outcome = tuple[Sequence[Load], Sequence[tuple[int, str]]]
    """Of a page: the loads that were changed, and the ids of the others with the reason."""

MAX_SHOWN = 1_000
"""Loads that people are shown of all that were changed, and of all that were not."""


def selected(
    platform: "Platform", load_ids: list[int] | None, tables: list[str] | None, codes: "Sequence[str] | None"
) -> "Iterator[Sequence[Load]]":
    """Yield the loads asked for; of those named by table or code only the errored ones are meant, newest first."""
    if load_ids:
        yield [load for load_id in dict.fromkeys(load_ids) if (load := one_load(platform, load_id))]
        return
    for page in load_pages(platform, tables, [LoadStatus.ERRORED]):
        yield [load for load in page if not codes or (load.error and load.error.code in codes)]


def unknown(platform: "Platform", load_ids: list[int] | None) -> "list[tuple[int, str]]":
    """Word that there are no loads with some of these ids."""
    missing = [load_id for load_id in dict.fromkeys(load_ids or ()) if one_load(platform, load_id) is None]
    return [(load_id, "there is no load with this id") for load_id in missing]


def print_outcomes(outcomes: "Iterable[Outcome]", done: str, *, title: str, empty: str, as_json: bool) -> int:
    """Change all loads by taking the outcomes, then print what became of them; returns how many were not changed.

    Args:
        outcomes: What became of the loads, page by page.
        done: Name in JSON of the loads that were changed.
        title: Of the table for people, which shows the first ``MAX_SHOWN``.
        empty: Said to people if nothing was changed.
        as_json: Print JSON, which has the ids of all.
    """
    first, ids, refused = list["Load"](), array("q"), list[tuple[int, str]]()
    for loads, others in outcomes:
        first += loads[: MAX_SHOWN - len(first)]
        ids.extend(load.id for load in loads)
        refused += others
    if as_json:
        print_json_lists({done: ids, "refused": ({"id": load_id, "reason": reason} for load_id, reason in refused)})
        return len(refused)
    print_rows(map(line, first), title=title, empty=empty)
    if len(ids) > MAX_SHOWN:
        say(f"These are the first {MAX_SHOWN:,} of {len(ids):,}; '--json' prints the ids of all.")
    for load_id, reason in refused[:MAX_SHOWN]:
        warn(f"Load {load_id} stays as it is: {reason}.")
    if len(refused) > MAX_SHOWN:
        warn(f"{len(refused):,} loads stay as they are; '--json' prints the reasons of all.")
    return len(refused)
