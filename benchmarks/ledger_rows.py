"""Millions of loads in the ledger, as production has them, made by SQL inside the database itself.

Tables differ in size as theirs do: the largest of 400 holds a twentieth of all loads. Of all loads 98 % are archived,
the others are in every status there is. Numbers are drawn from the load's own number, so that each run makes the same.
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, text

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.ledger.models import CubicLoad

N_TABLES = 400
N_ODS = 372
"""The first tables are ODS, base and change table by turns; 18 are DMAP, and the rest Kafka."""
N_DMAP = 18
N_SCHEMAS = 3
"""Schemas that the files of each table have had."""
PAGE = 1_000_000

_STEPS = {
    "planned": ("archived", "archiving", "ready_for_archiving", "ingesting"),
    "claimed": ("archived", "archiving", "ready_for_archiving", "ingesting"),
    "published": ("archived", "archiving", "ready_for_archiving"),
    "archived": "('archived')",
}
"""Which loads have taken a step, by their status."""

_STATUSES = (
    ("errored", 118),
    ("ready", 40),
    ("ready_for_archiving", 20),
    ("ingesting", 10),
    ("ready_for_erroring", 6),
    ("archiving", 4),
    ("erroring", 2),
)
"""How many of 10,000 loads are in each status; all others are archived."""


@dataclass(frozen=True)
class _Words:
    """What the two databases say differently."""

    is_sqlite: bool

    def series(self, start: int, stop: int) -> str:
        if self.is_sqlite:
            counted = f"WITH RECURSIVE s(n) AS (SELECT {start} UNION ALL SELECT n + 1 FROM s WHERE n < {stop})"
            return f"({counted} SELECT n FROM s)"
        return f"(SELECT n FROM generate_series({start}::bigint, {stop}::bigint) n)"

    def moment(self, seconds: str) -> str:
        """Return a moment so many seconds after 2022 began."""
        if self.is_sqlite:
            return f"strftime('%Y-%m-%d %H:%M:%S', 1640995200 + {seconds}, 'unixepoch') || '.000000'"
        return f"to_timestamp(1640995200 + {seconds})"

    def day(self, seconds: str) -> str:
        if self.is_sqlite:
            return f"strftime('%Y-%m-%d', 1640995200 + {seconds}, 'unixepoch')"
        return f"to_char(to_timestamp(1640995200 + {seconds}) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"

    def hexadecimal(self, number: str) -> str:
        return f"printf('%032x', {number})" if self.is_sqlite else f"lpad(to_hex({number}), 32, '0')"

    def digits(self, number: str) -> str:
        return f"printf('%09d', {number})" if self.is_sqlite else f"lpad(({number})::text, 9, '0')"


def fill(engine: Engine, n_loads: int) -> None:
    """Fill an empty database of the newest schema, and have its planner know what is in it.

    On PostgreSQL pages are packed, as bringing over the older layout leaves them.
    """
    words = _Words(engine.dialect.name == "sqlite")
    with engine.begin() as connection:
        _be_fast(connection, words)
        _set_room(connection, words, filled_percent=100)
        _fill_tables(connection, words)
        indexes = list(CubicLoad.__table__.indexes) if n_loads > PAGE else []
        for index in indexes:
            index.drop(connection)
        for start in range(1, n_loads + 1, PAGE):
            _fill_loads(connection, words, start, min(start + PAGE - 1, n_loads))
        _count_on(connection, words, n_loads)
        for index in indexes:
            index.create(connection)
        _set_room(connection, words, filled_percent=90)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if words.is_sqlite else "VACUUM ANALYZE"))


def table_name(number: int) -> str:
    """Return the name of a table; 0 is the largest."""
    if number >= N_ODS:
        return f"cubic__{'dmap' if number < N_ODS + N_DMAP else 'kafka'}__t{number}"
    return f"cubic__ods_qlik__t{number // 2}" + ("__ct" if number % 2 == 0 else "")


def declared() -> dict[str, Table]:
    """Return the tables by name, as a declaration has them; each is to have new data every day."""
    tables = [
        Table(name, stream, _prefix(number), base=name.removesuffix("__ct") if name.endswith("__ct") else None)
        for number in range(N_TABLES)
        for name, stream in [(table_name(number), _stream(number))]
    ]
    return {table.name: replace(table, fresh_within_hours=24) for table in tables}


def _stream(number: int) -> StreamName:
    if number < N_ODS:
        return StreamName.ODS
    return StreamName.DMAP if number < N_ODS + N_DMAP else StreamName.KAFKA


def _prefix(number: int) -> str:
    if number >= N_ODS:
        return f"cubic/{'dmap' if number < N_ODS + N_DMAP else 'kafka'}/t{number}/"
    return f"cubic/ods_qlik/EDW.T{number // 2}" + ("__ct/" if number % 2 == 0 else "/")


def _be_fast(connection: Connection, words: _Words) -> None:
    if not words.is_sqlite:
        # References are right by construction; checking each of them would take most of the time.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def _set_room(connection: Connection, words: _Words, *, filled_percent: int) -> None:
    if not words.is_sqlite:
        connection.execute(text(f"ALTER TABLE cubic_loads SET (fillfactor = {filled_percent})"))


def _fill_tables(connection: Connection, words: _Words) -> None:
    now = words.moment("0")
    for number in range(N_TABLES):
        connection.execute(
            text(
                "INSERT INTO cubic_tables (id, name, s3_prefix, is_raw, is_active, inserted_at, updated_at)"
                f" SELECT :id, :name, :prefix, false, true, {now}, {now}"
            ),
            {"id": number + 1, "name": table_name(number), "prefix": _prefix(number)},
        )
    for consumer in Consumer:
        connection.execute(
            text(f"INSERT INTO cubic_consumers (consumer, table_id) SELECT '{consumer}', id FROM cubic_tables")
        )
    columns = '[["id", "int64", "INT8"], ["name", "string", "STRING"], ["amount", "decimal128(10, 2)", "NUMERIC"]]'
    connection.execute(
        text(
            "INSERT INTO cubic_table_schemas (id, table_id, fingerprint, columns, inserted_at)"
            f" SELECT n, (n - 1) / {N_SCHEMAS} + 1, {words.hexadecimal('n')}, :columns, {now}"
            f" FROM {words.series(1, N_TABLES * N_SCHEMAS)} numbers"
        ),
        {"columns": columns},
    )
    connection.execute(
        text(
            "INSERT INTO cubic_table_ods_snapshots (table_id, snapshot, snapshot_s3_key)"
            f" SELECT t.id, {words.moment('n * 7776000')}, t.s3_prefix || 'LOAD1.csv.gz'"
            f" FROM cubic_tables t, {words.series(0, 9)} numbers WHERE t.id <= {N_ODS} AND t.name NOT LIKE '%ct'"
        )
    )


def _fill_loads(connection: Connection, words: _Words, start: int, stop: int) -> None:
    """Insert loads and their snapshots; a load's number is its id, and its time grows with it."""
    drawn = f"""
        SELECT n, n * 10 AS seconds, (n * 7919) % 10000 AS luck,
            ((n * 2654435761) % 1000000) * ((n * 2654435761) % 1000000) / 1000000 * {N_TABLES} / 1000000 + 1 AS table_id
        FROM {words.series(start, stop)} numbers"""
    chosen = f"SELECT d.*, {_status()} AS status, {words.moment('d.seconds')} AS moment FROM ({drawn}) d"
    named = f"""
        SELECT c.*, t.s3_prefix || 'f' || {words.digits("n")} || '.csv.gz' AS s3_key,
            {words.day("c.seconds")} AS day,
            status IN ('archived', 'archiving', 'ready_for_archiving') AS has_rows
        FROM ({chosen}) c JOIN cubic_tables t ON t.id = c.table_id"""
    connection.execute(
        text(
            f"""
        INSERT INTO cubic_loads (id, table_id, status, s3_key, s3_etag, s3_modified, s3_size, is_raw, source_at,
            partition_key, attempts, retry_at, claimed_by, claim_expires_at, location, archive_key, error_key, n_rows,
            n_bytes, n_quarantined, schema_id, is_replay_due, error_code, error_message, inserted_at, updated_at)
        SELECT n, table_id, status, s3_key, {words.hexadecimal("n")}, moment, 4000 + luck, false,
            CASE WHEN status = 'ready' AND n % 4 = 0 THEN NULL ELSE moment END,
            CASE WHEN status = 'ready' AND n % 4 = 0 THEN NULL ELSE day END,
            1, CASE WHEN status = 'ready' AND n % 8 < 4 THEN {words.moment("seconds + 60")} END,
            CASE WHEN status IN ('ingesting', 'archiving', 'erroring') THEN 'run-' || n / 5000 || '/a' END,
            CASE WHEN status IN ('ingesting', 'archiving', 'erroring') THEN {words.moment("seconds + 900")} END,
            CASE WHEN has_rows THEN s3_key || '/part-0.parquet' END,
            CASE WHEN status = 'archived' THEN s3_key END,
            CASE WHEN status = 'errored' THEN s3_key END,
            CASE WHEN has_rows THEN luck END, CASE WHEN has_rows THEN luck * 30 END,
            CASE WHEN has_rows THEN CASE WHEN n % 1000 = 0 THEN 3 ELSE 0 END END,
            CASE WHEN has_rows THEN (table_id - 1) * {N_SCHEMAS} + 1 + (n / 1000003) % {N_SCHEMAS} END,
            status = 'archived' AND n % 10000 = 1,
            CASE WHEN status LIKE '%err%' THEN 'bad_value' END,
            CASE WHEN status LIKE '%err%' THEN 'Values do not fit the types of their columns.' END, moment, moment
        FROM ({named}) named"""
        )
    )
    connection.execute(
        text(
            f"""
        INSERT INTO cubic_load_ods_snapshots (load_id, snapshot)
        SELECT id, inserted_at FROM cubic_loads
        WHERE id BETWEEN {start} AND {stop} AND table_id <= {N_ODS} AND partition_key IS NOT NULL"""
        )
    )
    connection.execute(
        text(
            f"""
        INSERT INTO cubic_changes (table_id, load_id, kind, partition_key, location, inserted_at)
        SELECT table_id, id, 'published', partition_key, location, inserted_at FROM cubic_loads
        WHERE id BETWEEN {start} AND {stop} AND location IS NOT NULL ORDER BY id"""
        )
    )
    for step, statuses in _STEPS.items():
        connection.execute(
            text(
                f"""
            INSERT INTO cubic_load_steps (load_id, at, step, run_id)
            SELECT id, inserted_at, '{step}', {words.hexadecimal("id / 500")} FROM cubic_loads
            WHERE id BETWEEN {start} AND {stop} AND status IN {statuses} ORDER BY id"""
            )
        )


def _status() -> str:
    cases, bound = "", 0
    for status, share in _STATUSES:
        bound += share
        cases += f" WHEN luck < {bound} THEN '{status}'"
    return f"CASE{cases} ELSE 'archived' END"


def _count_on(connection: Connection, words: _Words, n_loads: int) -> None:
    if not words.is_sqlite:
        for name, newest in (("cubic_loads", max(n_loads, 1)), ("cubic_tables", N_TABLES)):
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {newest})"))
