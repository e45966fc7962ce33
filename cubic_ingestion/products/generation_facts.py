"""What the fold of one generation needs to know: its key, the columns of its files, and its snapshot's own time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cubic_ingestion.domain.product import Product, ProductKind
from cubic_ingestion.domain.snapshot import Snapshot, snapshot_id
from cubic_ingestion.domain.table import Column, Table
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.ledger.records import SchemaInUse
from cubic_ingestion.parsing.dfm import parse_dfm
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.read import read_sidecar, sidecar_of
from cubic_ingestion.products.generations import choose

_NO_KEY = "Its files name no primary key, and its declaration has no 'key'."


@dataclass(frozen=True, slots=True)
class GenerationFacts:
    """What is on record of the files of one generation whose rows are in Springboard."""

    key: tuple[str, ...]
    """The key columns in key order; empty if no key is known, or it cannot be used."""
    base: Sequence[tuple[Column, ...]]
    """The columns that LOAD files have had, each once."""
    changes: Sequence[tuple[Column, ...]]
    """The same for change files."""
    snapshot_at: datetime | None
    """The snapshot's own time, if the ``.dfm`` of the LOAD file that opened it states it; UTC."""
    problem: str | None = None
    """Why a key that is declared or named cannot be used; None if nothing is wrong."""


def facts_of(platform: Platform, base: Table, generation: str) -> GenerationFacts:
    """Look up the key, the columns and the time of a generation.

    The key is the one that the table declares. Else it is the one that the newest file by source time names, be it a
    LOAD file or a change file. A file that names no key does not count. If no key is on record, the ``.dfm`` of files
    that were read before keys were recorded says it.

    Args:
        platform: The platform.
        base: The base table.
        generation: Id of the snapshot.

    Raises:
        StoreUnavailableError: A ``.dfm`` could not be read; only where no key is on record.
    """
    opened = {snapshot_id(each.started_at): each for each in platform.ledger.plans.snapshots(base.name)}
    snapshot = opened.get(generation)
    if snapshot is None:
        return GenerationFacts(base.key, (), (), None)
    tables = [base, *(each for each in platform.tables.values() if each.base == base.name)]
    in_use = [platform.ledger.generations.schemas(table.name, snapshot.started_at) for table in tables]
    named = [each for schemas in in_use for each in schemas if each.primary_key]
    newest = max(named, key=lambda each: (each.source_at, each.load_id), default=None)
    key = base.key or (newest.primary_key if newest else None) or _archived_key(platform, tables, snapshot, in_use)
    columns = [list(dict.fromkeys(each.columns for each in schemas)) for schemas in in_use]
    problem = _problem(key, tables, columns)
    return GenerationFacts(
        key=() if problem else key,
        base=columns[0],
        changes=[each for others in columns[1:] for each in others],
        snapshot_at=_stated_time(platform, base, snapshot),
        problem=problem,
    )


def why_absent(platform: Platform, product: Product) -> str | None:
    """Say why a table has no ``__current``; None if it has one, or will have, or the product is another one."""
    if product.kind is not ProductKind.CURRENT:
        return None
    generation = choose(platform, product.source).generation
    facts = facts_of(platform, product.source, generation) if generation else None
    return (facts.problem or _NO_KEY) if facts and not facts.key else None


def _problem(
    key: Sequence[str], tables: Sequence[Table], columns: Sequence[Sequence[tuple[Column, ...]]]
) -> str | None:
    """Say which table's files lack a key column; a table without files lacks none."""
    for table, schemas in zip(tables, columns, strict=True):
        names = {column.name for schema in schemas for column in schema}
        lost = [name for name in key if schemas and name not in names]
        if lost:
            return (
                f"No file of '{table.name}' has the key column '{lost[0]}', so the table is treated as without a key."
            )
    return None


def _archived_key(
    platform: Platform, tables: Sequence[Table], snapshot: Snapshot, in_use: Sequence[Sequence[SchemaInUse]]
) -> tuple[str, ...]:
    """Read the key from the ``.dfm`` of loads that were recorded before keys were: one of each schema, newest first."""
    unknown = [
        (each.source_at, each.load_id, table)
        for table, schemas in zip(tables, in_use, strict=True)
        for each in schemas
        if each.primary_key is None
    ]
    load_ids = [(load_id, table) for _, load_id, table in sorted(unknown, key=lambda each: each[:2], reverse=True)]
    for table in tables:
        load_id = platform.ledger.generations.newest_without_schema(table.name, snapshot.started_at)
        load_ids += [(load_id, table)] if load_id is not None else []
    return next(_keys(platform, load_ids), ())


def _keys(platform: Platform, load_ids: Sequence[tuple[int, Table]]) -> Iterator[tuple[str, ...]]:
    """Yield the keys that the ``.dfm`` of some loads name; one that cannot be read names none."""
    for load_id, table in load_ids:
        load = platform.ledger.queries.load(load_id)
        try:
            data = load and read_sidecar(sidecar_of(platform.stores, table, load))
            key = parse_dfm(data).roles.primary_key if data else ()
        except RejectedLoadError:
            continue
        if key:
            yield key


def _stated_time(platform: Platform, base: Table, snapshot: Snapshot) -> datetime | None:
    """Return the time that the ``.dfm`` of the opening LOAD file states; a file without one has its LastModified."""
    for load in platform.ledger.queries.versions(snapshot.key):
        stated = load.source_at if load.table == base.name else None
        if stated and stated.replace(microsecond=0) == snapshot.started_at:
            return stated if stated != load.version.modified_at else None
    return None
