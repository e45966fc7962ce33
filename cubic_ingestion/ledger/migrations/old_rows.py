"""Rows of the old layout that the new one has no place for. A person has to correct them before the upgrade."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from cubic_ingestion.errors import OldRowError

SUCCESSORS = {
    "ready_for_ingesting": "ready",
    "ingesting": "ready",
    "archived_unknown": "ready_for_archiving",
    "archiving": "ready_for_archiving",
    "errored_unknown": "ready_for_erroring",
    "erroring": "ready_for_erroring",
}
"""What a status of the old layout means now. Nobody works on a load during an upgrade, and the old layout kept no
claims that could expire: what was being worked on waits for that work again."""

_KEPT = ("ready", "ready_for_archiving", "archived", "ready_for_erroring", "errored")
_KNOWN = ", ".join(f"'{status}'" for status in (*_KEPT, *SUCCESSORS))


@dataclass(frozen=True, slots=True)
class _Check:
    """What makes a row unusable, and how that is said."""

    table: str
    is_wrong: str
    """SQL; ``o`` is the row."""
    name: str
    """Column by which people know the row."""
    value: str
    """Column with the value that is wrong."""
    problem: str
    fix: str


_CHECKS = (
    _Check(
        table="cubic_ods_tables",
        is_wrong="""EXISTS (SELECT 1 FROM cubic_ods_tables t
            WHERE t.id < o.id AND rtrim(t.s3_prefix, '/') = rtrim(o.s3_prefix, '/'))""",
        name="name",
        value="s3_prefix",
        problem="has the s3_prefix {value}, the same folder as another row",
        fix="UPDATE cubic_ods_tables SET s3_prefix = '<its own folder>' WHERE id = {id}",
    ),
    _Check(
        table="cubic_ods_loads",
        is_wrong="NOT EXISTS (SELECT 1 FROM cubic_ods_tables t WHERE t.id = o.table_id)",
        name="s3_key",
        value="table_id",
        problem="has the table_id {value}, which cubic_ods_tables does not have",
        fix="UPDATE cubic_ods_loads SET table_id = <id of its table> WHERE id = {id}",
    ),
    _Check(
        table="cubic_ods_loads",
        is_wrong=f"o.status NOT IN ({_KNOWN})",
        name="s3_key",
        value="status",
        problem=f"has the status {{value}}, which is none of {_KNOWN}",
        fix="UPDATE cubic_ods_loads SET status = 'ready' WHERE id = {id}",
    ),
)


def check_old_rows(connection: Connection) -> None:
    """Make sure that each row of ``cubic_ods_tables`` and ``cubic_ods_loads`` can be brought over.

    Raises:
        OldRowError: One cannot.
    """
    for check in _CHECKS:
        wrong = f"FROM {check.table} o WHERE {check.is_wrong}"
        found = connection.execute(
            text(f"SELECT o.id, o.{check.name}, o.{check.value} {wrong} ORDER BY o.id LIMIT 1")
        ).first()
        if found is None:
            continue
        row_id, name, value = found
        n_wrong = connection.execute(text(f"SELECT count(*) {wrong}")).scalar_one()
        problem = check.problem.format(value=repr(value))
        raise OldRowError(check.table, row_id, name, problem, check.fix.format(id=row_id), n_more=n_wrong - 1)
