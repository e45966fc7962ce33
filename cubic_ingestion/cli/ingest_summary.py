"""What ``cubic ingest`` says at its end: a row per table, who holds what it could not take, and what to do next."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from cubic_ingestion.cli.output import print_rows, say
from cubic_ingestion.cli.products import product_rows
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.holding import Holding, Right
from cubic_ingestion.domain.status import ENDED, LoadStatus, Work

if TYPE_CHECKING:
    from cubic_ingestion.ledger.records import StatusCount
    from cubic_ingestion.pipeline.ingestion_platform import Platform

Counts = Mapping[tuple[str, LoadStatus], "StatusCount"]
"""Loads, rows and records in quarantine, by table and status."""

_SHOWN_HOLDERS = 10
_TO_BE_MOVED = frozenset({LoadStatus.READY_FOR_ERRORING})
_HELD_STATUSES = [work.held for work in Work if work.held not in ENDED]


@dataclass(frozen=True, slots=True)
class Summary:
    """What changed while the command ran, and what is not done."""

    tables: list[dict[str, object]]
    """One row per table in which something changed, is held or waits."""
    held: list[Holding]
    """Loads that other runs hold, by table and holder."""
    waiting: list[LoadStatus]
    """Statuses of the loads that nobody holds and that are not done."""
    n_left_alone: int
    """Objects in Incoming that no table takes."""

    @property
    def has_errored(self) -> bool:
        """Whether a load ended in Error, or was rejected and is still to be moved there."""
        return any(row["errored"] for row in self.tables) or LoadStatus.READY_FOR_ERRORING in self.waiting


def counts(platform: "Platform") -> Counts:
    """Count the loads as they are now."""
    return {(count.table, count.status): count for count in platform.ledger.queries.status_counts()}


def summarise(platform: "Platform", before: Counts) -> Summary:
    """Compare with how things stood before."""
    after, held = counts(platform), _held(platform)
    tables = [_row(platform, name, before, after, held) for name in sorted({table for table, _ in after})]
    changed = ("loads", "errored", "held", "waiting")
    n_waiting = sum(int(str(row["waiting"])) for row in tables)
    shown = [row for row in tables if any(row[name] for name in changed)]
    return Summary(shown, held, _waiting(after, n_waiting), _n_left_alone(platform))


def print_summary(platform: "Platform", summary: Summary, failures: Iterable[str]) -> None:
    """Print it for people."""
    say(*failures, style="red")
    print_rows(summary.tables, title="Ingested", empty="Nothing to ingest in Incoming.")
    if summary.has_errored:
        say(f"See why: {_listing([LoadStatus.ERRORED, *_TO_BE_MOVED.intersection(summary.waiting)])}")
    if any(row["quarantined"] for row in summary.tables):
        say("See the records in quarantine: cubic quarantine list")
    if summary.waiting:
        say(f"See what the waiting loads wait for: {_listing(summary.waiting)}")
    say(*_held_by(summary.held))
    if summary.n_left_alone:
        left_alone = counted(summary.n_left_alone, "object is", "objects are")
        say(f"{left_alone} left alone in Incoming, since no table takes them. See which: cubic status")
    if products := product_rows(platform):
        print_rows(products, title="Products, the tables to query")
    for behind in platform.ledger.deliveries[Consumer.CATALOG].backlog():
        if behind.error:
            say(f"Not in the catalog yet: {behind.table}: {behind.error}")
    if queryable := _queryable(platform, summary, products):
        say("", "A query to try:", f"  {platform.catalog.query(queryable)}")
    say("", f"The web UI: {_web_ui()}, then http://127.0.0.1:3000")


def _queryable(platform: "Platform", summary: Summary, products: Iterable[Mapping[str, object]]) -> str | None:
    """Name what to query: what is true now of a table, else a table that has got rows; None if there is neither."""
    current = (str(row["product"]) for row in products if row["snapshot"] and row["rows"])
    ingested = (platform.tables[str(row["table"])].catalog_name for row in summary.tables if row["loads"])
    return next(chain(current, ingested), None)


def _web_ui() -> str:
    """Return a command that works in the working directory: outside the repository there is no Makefile."""
    from cubic_ingestion.settings import read_settings

    if Path("Makefile").is_file() and Path("workspace.yaml").is_file():
        return "make dev"
    settings = read_settings()
    state = settings.dagster_home or settings.home.absolute() / "dagster"
    return f"DAGSTER_HOME={quote(str(state))} {_beside_python('dagster')} dev -m cubic_ingestion.definitions"


def _beside_python(program: str) -> str:
    """Return how to call a program of this environment, whether or not the shell finds it by its name."""
    path = Path(sys.executable).with_name(program)
    here = Path.cwd()
    return quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _n_left_alone(platform: "Platform") -> int:
    from cubic_ingestion.errors import StoreUnavailableError
    from cubic_ingestion.pipeline.scan_record import left_alone

    try:
        return sum(group.n_objects for group in left_alone(platform))
    except StoreUnavailableError:
        return 0  # the streams have said so


def _held(platform: "Platform") -> list[Holding]:
    """Return the claims on loads that are neither expired nor made by a clock that is ahead."""
    now = platform.clock.now()
    latest_end = platform.limits.latest_end(Right.LOADS, now)
    holdings = platform.ledger.claims.holdings()
    return [held for held in holdings if held.right is Right.LOADS and now < held.ends_at <= latest_end]


def _row(platform: "Platform", name: str, before: Counts, after: Counts, held: Sequence[Holding]) -> dict[str, object]:
    n_open = sum(count.n_loads for (table, status), count in after.items() if table == name and status not in ENDED)
    n_held = sum(holding.n_loads for holding in held if holding.name == name)
    loads, rows, quarantined = _gain(before, after, name, LoadStatus.ARCHIVED)
    return {
        "table": name,
        "loads": loads,
        "rows": rows,
        "quarantined": quarantined,
        "errored": _gain(before, after, name, LoadStatus.ERRORED)[0],
        "held": n_held,
        "waiting": max(n_open - n_held, 0),
        "parquet": _location(platform, name),
    }


def _gain(before: Counts, after: Counts, table: str, status: LoadStatus) -> tuple[int, int, int]:
    def numbers(count: "StatusCount | None") -> tuple[int, int, int]:
        return (count.n_loads, count.n_rows, count.n_quarantined) if count else (0, 0, 0)

    new, old = numbers(after.get((table, status))), numbers(before.get((table, status)))
    return new[0] - old[0], new[1] - old[1], new[2] - old[2]


def _waiting(after: Counts, n_waiting: int) -> list[LoadStatus]:
    """Find the statuses of the loads that wait; those of a claim that has expired are among them."""
    n_loads = {status: sum(each.n_loads for (_, one), each in after.items() if one is status) for status in LoadStatus}
    free = [status for status in LoadStatus if n_loads[status] and status not in {*ENDED, *_HELD_STATUSES}]
    has_expired = n_waiting > sum(n_loads[status] for status in free)
    return free + [status for status in _HELD_STATUSES if n_loads[status] and has_expired]


def _held_by(held: Sequence[Holding]) -> list[str]:
    """Say which runs hold loads, and until when."""
    from cubic_ingestion.pipeline.process import whereabouts

    if not held:
        return []
    lines = ["Other runs hold loads that this command could therefore not take:"]
    for holding in held[:_SHOWN_HOLDERS]:
        where = whereabouts(holding.holder)
        by = f"run {holding.run_id}" + (f" ({where})" if where else "")
        lines.append(f"  {holding.subject}: {by}, until {holding.ends_at:%Y-%m-%d %H:%M:%S} UTC unless it is renewed")
    if len(held) > _SHOWN_HOLDERS:
        lines.append(f"  and {len(held) - _SHOWN_HOLDERS} more")
    return [
        *lines,
        f"See them: {_listing(_HELD_STATUSES)}",
        "If such a run is gone, run 'cubic ingest' after that time.",
    ]


def _listing(statuses: Sequence[LoadStatus]) -> str:
    return " ".join(["cubic loads list", *(f"--status {status.value}" for status in statuses)])


def _location(platform: "Platform", name: str) -> str:
    from cubic_ingestion.domain.layout import springboard_prefix

    table = platform.tables.get(name)
    return platform.stores.springboard.uri(springboard_prefix(table)) if table else ""
