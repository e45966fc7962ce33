"""Move rows between the layouts of revisions 0001 and 0002.

Written in SQL that SQLite and PostgreSQL share, so that ten million rows move inside the database; the three
expressions in which they differ are in ``_Words``.
"""
# ruff: noqa: S608 - every part of these statements is a constant of this module or a number that the database gave

from sqlalchemy import Connection, text

from cubic_ingestion.ledger.migrations.old_rows import SUCCESSORS, check_old_rows

_CT_PREFIX = "rtrim({0}.s3_prefix, '/') || '__ct/'"
"""The prefix of the change files of a base table: the old layout had one row for both."""

_CASES = " ".join(f"WHEN '{old}' THEN '{new}'" for old, new in SUCCESSORS.items())
_STATUS = f"CASE {{0}}.status {_CASES} ELSE {{0}}.status END"


class _Words:
    """What the two databases say differently."""

    def __init__(self, dialect: str) -> None:
        self.is_sqlite = dialect == "sqlite"
        self.same, self.differs = ("IS", "IS NOT") if self.is_sqlite else ("IS NOT DISTINCT FROM", "IS DISTINCT FROM")

    def moment(self, column: str) -> str:
        """Read a moment of the old layout; on SQLite it is text, and must sort among those with microseconds."""
        if not self.is_sqlite:
            return column
        return f"CASE length({column}) WHEN 19 THEN replace({column}, 'T', ' ') || '.000000' ELSE {column} END"


def to_all_streams(connection: Connection) -> None:
    """Bring over what ``cubic_ods_tables`` and ``cubic_ods_loads`` have and the new tables have not, or differently.

    Raises:
        OldRowError: A row has no place in the new tables.
    """
    words = _prepare(connection)
    if not words.is_sqlite:
        # The old application may be at work: what it writes after this point would be dropped with its tables.
        # In the order of its transactions: an INSERT of a load locks the loads, then the tables for the foreign key.
        connection.execute(text("LOCK TABLE cubic_ods_loads, cubic_ods_tables IN ACCESS EXCLUSIVE MODE"))
    check_old_rows(connection)
    for statement in _tables_over(words):
        connection.execute(text(statement))
        _count_on(connection, "cubic_tables", "cubic_tables")
    for statement in (*_loads_over(words), *_snapshots_over(words)):
        connection.execute(text(statement))
    _count_on(connection, "cubic_loads", "cubic_loads")


def to_ods_only(connection: Connection) -> None:
    """Fill ``cubic_ods_tables`` and ``cubic_ods_loads`` with the ODS tables and loads."""
    _prepare(connection)
    connection.execute(text(_TABLES_BACK))
    connection.execute(text(_LOADS_BACK))
    # Ids that are parked must not be given out meanwhile.
    _count_on(connection, "cubic_ods_tables", "cubic_tables")
    _count_on(connection, "cubic_ods_loads", "cubic_loads")


def _tables_over(words: _Words) -> list[str]:
    deleted_at, inserted_at, updated_at = (words.moment(f"o.{name}_at") for name in ("deleted", "inserted", "updated"))
    return [
        f"""UPDATE cubic_tables SET
                deleted_at = (SELECT {deleted_at} FROM cubic_ods_tables o WHERE o.id = cubic_tables.id),
                updated_at = (SELECT {updated_at} FROM cubic_ods_tables o WHERE o.id = cubic_tables.id)
            WHERE EXISTS (SELECT 1 FROM cubic_ods_tables o WHERE o.id = cubic_tables.id
                AND {deleted_at} {words.differs} cubic_tables.deleted_at)""",
        f"""INSERT INTO cubic_tables (id, name, s3_prefix, is_raw, is_active, deleted_at, inserted_at, updated_at)
            SELECT o.id, o.name, rtrim(o.s3_prefix, '/') || '/', false, true, {deleted_at}, {inserted_at}, {updated_at}
            FROM cubic_ods_tables o WHERE NOT EXISTS (SELECT 1 FROM cubic_tables t WHERE t.id = o.id)""",
        f"""INSERT INTO cubic_tables (name, s3_prefix, is_raw, is_active, deleted_at, inserted_at, updated_at)
            SELECT t.name || '__ct', {_CT_PREFIX.format("t")}, t.is_raw, t.is_active, t.deleted_at, t.inserted_at,
                t.updated_at
            FROM cubic_tables t JOIN cubic_ods_tables o ON o.id = t.id
            WHERE EXISTS (SELECT 1 FROM cubic_ods_loads l WHERE l.table_id = t.id
                    AND substr(l.s3_key, 1, length({_CT_PREFIX.format("t")})) = {_CT_PREFIX.format("t")})
                AND NOT EXISTS (SELECT 1 FROM cubic_tables c WHERE c.s3_prefix = {_CT_PREFIX.format("t")})
            ORDER BY t.id""",
    ]


def _loads_over(words: _Words) -> list[str]:
    modified, deleted_at = words.moment("o.s3_modified"), words.moment("o.deleted_at")
    inserted_at, updated_at = words.moment("o.inserted_at"), words.moment("o.updated_at")
    old = "FROM cubic_ods_loads o WHERE o.id = cubic_loads.id"
    return [
        f"""UPDATE cubic_loads SET
                status = (SELECT {_STATUS.format("o")} {old}), claimed_by = NULL, claim_expires_at = NULL,
                deleted_at = (SELECT {deleted_at} {old}), updated_at = (SELECT {updated_at} {old})
            WHERE EXISTS (SELECT 1 {old}
                AND (o.status <> cubic_loads.status OR {deleted_at} {words.differs} cubic_loads.deleted_at))""",
        f"""INSERT INTO cubic_loads (id, table_id, status, s3_key, s3_etag, s3_modified, s3_size, is_raw, attempts,
                is_replay_due, deleted_at, inserted_at, updated_at)
            SELECT o.id, coalesce(c.id, t.id), {_STATUS.format("o")}, o.s3_key, 'legacy:' || CAST(o.id AS VARCHAR),
                {modified}, o.s3_size, t.is_raw, 0, false, {deleted_at}, {inserted_at}, {updated_at}
            FROM cubic_ods_loads o
                JOIN cubic_tables t ON t.id = o.table_id
                LEFT JOIN cubic_tables c ON c.s3_prefix = {_CT_PREFIX.format("t")}
                    AND substr(o.s3_key, 1, length(c.s3_prefix)) = c.s3_prefix
            WHERE NOT EXISTS (SELECT 1 FROM cubic_loads l WHERE l.id = o.id)""",
    ]


def _snapshots_over(words: _Words) -> list[str]:
    snapshot = words.moment("o.snapshot")
    old = "FROM cubic_ods_loads o WHERE o.id = cubic_load_ods_snapshots.load_id"
    return [
        f"""INSERT INTO cubic_table_ods_snapshots (table_id, snapshot, snapshot_s3_key)
            SELECT o.id, {snapshot}, o.snapshot_s3_key FROM cubic_ods_tables o
            WHERE (o.snapshot IS NOT NULL OR o.snapshot_s3_key IS NOT NULL) AND NOT EXISTS (
                SELECT 1 FROM cubic_table_ods_snapshots s
                WHERE s.table_id = o.id AND s.snapshot {words.same} {snapshot})""",
        f"""UPDATE cubic_load_ods_snapshots SET snapshot = (SELECT {snapshot} {old})
            WHERE EXISTS (SELECT 1 {old} AND {snapshot} <> cubic_load_ods_snapshots.snapshot)""",
        f"""INSERT INTO cubic_load_ods_snapshots (load_id, snapshot)
            SELECT o.id, {snapshot} FROM cubic_ods_loads o
            WHERE o.snapshot IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM cubic_load_ods_snapshots s WHERE s.load_id = o.id)""",
    ]


_TABLES_BACK = """
INSERT INTO cubic_ods_tables (id, name, s3_prefix, snapshot, snapshot_s3_key, deleted_at, inserted_at, updated_at)
SELECT t.id, t.name, t.s3_prefix, s.snapshot, s.snapshot_s3_key, t.deleted_at, t.inserted_at, t.updated_at
FROM cubic_tables t LEFT JOIN cubic_table_ods_snapshots s ON s.id = (
    SELECT n.id FROM cubic_table_ods_snapshots n WHERE n.table_id = t.id
    ORDER BY n.snapshot IS NULL, n.snapshot DESC LIMIT 1)
WHERE substr(t.s3_prefix, 1, 15) = 'cubic/ods_qlik/' AND substr(t.s3_prefix, length(t.s3_prefix) - 4) <> '__ct/'"""
"""The old layout holds the newest snapshot only; the others stay parked."""

_LOADS_BACK = f"""
INSERT INTO cubic_ods_loads
    (id, table_id, status, s3_key, s3_modified, s3_size, snapshot, deleted_at, inserted_at, updated_at)
SELECT l.id, b.id, l.status, l.s3_key, l.s3_modified, l.s3_size, s.snapshot, l.deleted_at, l.inserted_at, l.updated_at
FROM cubic_loads l
    JOIN cubic_tables t ON t.id = l.table_id
    JOIN cubic_ods_tables b ON t.s3_prefix = b.s3_prefix OR t.s3_prefix = {_CT_PREFIX.format("b")}
    LEFT JOIN cubic_load_ods_snapshots s ON s.load_id = l.id"""


def _prepare(connection: Connection) -> _Words:
    words = _Words(connection.dialect.name)
    if not words.is_sqlite:
        # The old layout's moments carry no zone; they are UTC whatever the server's own zone is.
        connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
    return words


def _count_on(connection: Connection, table: str, source: str) -> None:
    """Let the ids that ``table`` gives out start after those in ``source``."""
    newest: int = connection.execute(text(f"SELECT coalesce(max(id), 0) FROM {source}")).scalar_one()
    if connection.dialect.name == "postgresql":
        sequence = f"pg_get_serial_sequence('{table}', 'id')"
        connection.execute(text(f"SELECT setval({sequence}, {newest} + 1, false)"))
        return
    connection.execute(text(f"DELETE FROM sqlite_sequence WHERE name = '{table}'"))
    connection.execute(text(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {newest})"))
