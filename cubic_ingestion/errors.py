"""The error tree, split by what the caller must do.

    CubicIngestionError
    ├── RetriableError        nothing is wrong with the load; try again
    │   ├── StoreUnavailableError
    │   │   └── UnlistedFoldersError
    │   ├── ObjectDeniedError
    │   ├── ObjectFrozenError
    │   ├── DatabaseUnavailableError
    │   ├── CatalogUnavailableError
    │   ├── CommitConflictError
    │   ├── StreamUnavailableError
    │   ├── ShardLeaseLostError
    │   ├── FeedUnavailableError
    │   ├── NotTheFileError
    │   ├── SidecarChangedError
    │   └── UnforeseenError
    ├── RejectedLoadError     the load is wrong; it goes to Error, the run goes on
    └── FatalError            code or configuration is wrong; tell a person
        ├── DeclarationError
        ├── SettingsError
        ├── HomeMissingError
        ├── OutputError
        ├── SchemaRevisionError
        ├── UnknownRevisionError
        ├── OldRowError
        ├── IllegalTransitionError
        ├── UnrecordedTableError
        ├── DerivedTableError
        └── InvalidKeyError

A constructor takes the culprits as data and words the message: what is wrong, where, and what to do. The message is one
line, and what it quotes from outside is shown as ``visible`` shows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cubic_ingestion.outside_text import visible

_MAX_NAMED_FOLDERS = 5


@dataclass(frozen=True, slots=True)
class BadCell:
    """A value that does not fit its column's type."""

    row: int
    """Data record in the file, counted from 1 without the header."""
    column: str
    """Name in lower case."""
    value: str
    """The text as it stands in the file."""
    type: str
    """The column's type as text."""


class CubicIngestionError(Exception):
    """Base of every error this platform raises on purpose.

    Attributes:
        problem: What is wrong, without the promise of another try: for those who make none.
    """

    def __init__(self, message: str, problem: str | None = None) -> None:
        self.problem = visible(message if problem is None else problem)
        super().__init__(visible(message))


class RetriableError(CubicIngestionError):
    """Nothing is wrong with the load; the same work may succeed later."""

    def __init__(self, problem: str, promise: str = "It will be tried again.") -> None:
        super().__init__(f"{problem} {promise}", problem)


class StoreUnavailableError(RetriableError):
    """An object store refused or dropped a request."""

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        super().__init__(f"Object '{key}' could not be reached ({reason}).")


class ObjectDeniedError(RetriableError):
    """An object store refuses one object to this process; other objects of the same store may be permitted."""

    def __init__(self, key: str, action: str, bucket: str, reason: str) -> None:
        self.key = key
        super().__init__(
            f"{action} is not permitted on '{key}' in bucket '{bucket}' ({reason}). "
            "Permit it to the role of this process; deploy/iam says what each needs."
        )


class UnlistedFoldersError(StoreUnavailableError):
    """Some folders could not be listed; everything else below the prefix was.

    Attributes:
        reasons: Why, by the folder's key.
    """

    def __init__(self, prefix: str, reasons: Mapping[str, str]) -> None:
        self.key = prefix
        self.reasons = dict(reasons)
        named = ", ".join(f"'{folder}' ({reason})" for folder, reason in list(reasons.items())[:_MAX_NAMED_FOLDERS])
        more = f", and {len(reasons) - _MAX_NAMED_FOLDERS} more" if len(reasons) > _MAX_NAMED_FOLDERS else ""
        RetriableError.__init__(self, f"Folders could not be listed: {named}{more}.")


class ObjectFrozenError(RetriableError):
    """An object is in an archive storage class of S3, such as GLACIER, and must be restored before it can be read."""

    def __init__(self, key: str, bucket: str) -> None:
        self.key = key
        super().__init__(
            f"Object '{visible(key)}' in bucket '{bucket}' is in an archive storage class and cannot be read. "
            "Restore it in S3."
        )


class DatabaseUnavailableError(RetriableError):
    """The ledger refused or dropped a request."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The ledger could not be reached ({reason}).")


class CatalogUnavailableError(RetriableError):
    """The catalog refused or dropped a request."""

    def __init__(self, table: str, reason: str) -> None:
        self.table = table
        super().__init__(f"Table '{table}' could not be put in the catalog ({reason}).")


class CommitConflictError(RetriableError):
    """Another writer has changed a table of the warehouse, so that a commit was refused. Nothing was changed."""

    def __init__(self, table: str, reason: str) -> None:
        self.table = table
        super().__init__(
            f"Table '{table}' of the warehouse was changed by another writer ({reason}).",
            "The work is repeated on the table as it is now.",
        )


class StreamUnavailableError(RetriableError):
    """A Kinesis stream refused or dropped a request."""

    def __init__(self, stream: str, reason: str) -> None:
        self.stream = stream
        super().__init__(f"Kinesis stream '{stream}' could not be read ({reason}).")


class ShardLeaseLostError(RetriableError):
    """Another batcher has taken a shard, since its lease was not renewed in time."""

    def __init__(self, shard: str) -> None:
        self.shard = shard
        super().__init__(
            f"The lease on shard '{shard}' ended before it was renewed, and another batcher has it.",
            "Nothing is lost: that one goes on from the checkpoint.",
        )


class FeedUnavailableError(RetriableError):
    """The vendor's API refused or dropped a request, or gave another answer than it should.

    Attributes:
        retry_after_seconds: How long the server asked to be left alone, if it did.
        is_refused: The same request would be refused again, until somebody does something about it.
    """

    def __init__(
        self, feed: str, reason: str, *, retry_after_seconds: float | None = None, is_refused: bool = False
    ) -> None:
        self.feed = feed
        self.retry_after_seconds = retry_after_seconds
        self.is_refused = is_refused
        super().__init__(f"DMAP feed '{feed}' could not be read ({reason}).")


class NotTheFileError(RetriableError):
    """What came for a data set is not its file; nothing of it was put into Incoming."""

    def __init__(self, dataset: str, problem: str) -> None:
        self.dataset = dataset
        super().__init__(
            f"What the vendor sent for data set '{dataset}' is not its file: {problem}.", "It is asked for again."
        )


class SidecarChangedError(RetriableError):
    """The sidecar is no longer the version that its load was planned with."""

    def __init__(self, key: str, etag: str) -> None:
        self.key = key
        super().__init__(
            f"The sidecar of '{key}' is no longer the version that the load was planned with ({etag}).",
            "The load is planned again with what stands there now.",
        )


class UnforeseenError(RetriableError):
    """An exception that no code expects. The log has its traceback; its own message may quote anything, even a secret.

    Attributes:
        kind: Name of the exception's class.
        place: File and line that raised it.
    """

    def __init__(self, kind: str, place: str) -> None:
        self.kind = kind
        self.place = place
        super().__init__(f"An error that nobody foresaw ({kind} at {place}; the log has the traceback).")


class ErrorCode(StrEnum):
    """Why a load is rejected; the runbook has what to do about each. A test compares it with what the code raises."""

    UNRECOGNISED_NAME = "unrecognised_name"
    UNUSABLE_NAME = "unusable_name"
    EMPTY_FILE = "empty_file"
    SIDECAR_MISSING = "sidecar_missing"
    SIDECAR_INVALID = "sidecar_invalid"
    SNAPSHOT_MISSING = "snapshot_missing"
    SUPERSEDED = "superseded"
    SIDECAR_CHANGED = "sidecar_changed"
    RESERVED_COLUMN = "reserved_column"
    TOO_MANY_COLUMNS = "too_many_columns"
    OBJECT_FROZEN = "object_frozen"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    RECORD_COUNT_MISMATCH = "record_count_mismatch"
    BAD_VALUE = "bad_value"
    SCHEMA_CHANGED = "schema_changed"
    HEADER_INVALID = "header_invalid"
    DUPLICATE_COLUMN = "duplicate_column"
    UNDECLARED_COLUMN = "undeclared_column"
    MISSING_COLUMN = "missing_column"
    RAGGED_ROW = "ragged_row"
    UNCLOSED_QUOTE = "unclosed_quote"
    FIELD_TOO_LARGE = "field_too_large"
    CSV_INVALID = "csv_invalid"
    NOT_UTF8 = "not_utf8"
    GZIP_DAMAGED = "gzip_damaged"
    GZIP_BOMB = "gzip_bomb"
    JSON_INVALID = "json_invalid"
    JSON_NOT_OBJECT = "json_not_object"
    DUPLICATE_FIELD = "duplicate_field"
    FILE_TOO_LARGE = "file_too_large"
    RECORD_TOO_LARGE = "record_too_large"


class RejectedLoadError(CubicIngestionError):
    """The load is wrong; it goes to Error with this reason, and the run goes on.

    Attributes:
        code: Machine-readable reason, the value of an ``ErrorCode``.
        row: Data record, counted from 1 without the header, or None.
        column: Column name in lower case, or None.
        bad_cells: The first cells that do not fit their type, if that is what is wrong.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        row: int | None = None,
        column: str | None = None,
        bad_cells: Sequence[BadCell] = (),
    ) -> None:
        self.code = code
        self.message = visible(message)
        self.row = row
        self.column = column
        self.bad_cells = bad_cells
        where = ", ".join(f"{name} {value}" for name, value in (("row", row), ("column", column)) if value is not None)
        super().__init__(f"{message} ({where})" if where else message)


class FatalError(CubicIngestionError):
    """Code or configuration is wrong; a person has to act."""


class DeclarationError(FatalError):
    """A table declaration is not sound."""

    def __init__(self, path: str, line: int, problem: str, fix: str) -> None:
        self.path = path
        self.line = line
        super().__init__(f"{path}:{line}: {problem} {fix}")


class SettingsError(FatalError):
    """A setting is missing or has a value that cannot be used.

    Attributes:
        what: The setting and what is wrong, without what to do.
        fix: What to do.
    """

    def __init__(self, setting: str, problem: str, fix: str) -> None:
        self.setting = setting
        self.what = visible(f"{setting}: {problem}")
        self.fix = fix
        super().__init__(f"{setting}: {problem} {fix}")


class HomeMissingError(FatalError):
    """There is no home, and a command that only looks at one makes none."""

    def __init__(self, home: str) -> None:
        self.home = home
        super().__init__(
            f"There is no home at '{home}', and none was made. Go to the folder that has one, set CUBIC_HOME, or "
            "begin one: 'cubic demo' puts a sample into its Incoming, 'cubic ingest' ingests it."
        )


class OutputError(FatalError):
    """Standard output takes nothing, for example because it is a file on a full disk."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The output could not be written ({reason}). Write it elsewhere, and run the command again if you need it."
        )


class SchemaRevisionError(FatalError):
    """The ledger has another schema than this code expects."""

    def __init__(self, found: str | None, expected: str) -> None:
        fix = "Run 'cubic db upgrade'."
        if found and found > expected:
            fix = f"A newer release has upgraded it: run a release that knows revision {found}."
        super().__init__(f"The ledger is at revision {found or 'none'}, not {expected} as this code expects. {fix}")


class UnknownRevisionError(FatalError):
    """The ledger cannot go back to a revision: there is none of that name, or the ledger is at an older one."""

    def __init__(self, revision: str, known: Sequence[str]) -> None:
        super().__init__(
            f"The ledger is at revision {known[0]}, and cannot go back to '{visible(revision)}'. Nothing was changed. "
            f"Known revisions, newest first: {', '.join(known)}."
        )


class OldRowError(FatalError):
    """A row of the old layout has no place in the new one, so that the ledger cannot be upgraded."""

    def __init__(self, table: str, row_id: int, name: str, problem: str, fix: str, *, n_more: int) -> None:
        more = f" {n_more} more {'row is' if n_more == 1 else 'rows are'} like this." if n_more else ""
        super().__init__(
            f"Row {row_id} of {table} ('{visible(name)}') {visible(problem)}.{more} Nothing was changed. "
            f"Correct it, for example by \"{fix}\", and run 'cubic db upgrade' again."
        )


class IllegalTransitionError(FatalError):
    """A load was to move to a status that may not follow the one it has."""

    def __init__(self, load_id: int, current: str, target: str) -> None:
        self.load_id = load_id
        super().__init__(
            f"Load {load_id} is {current!r} and cannot become {target!r}. "
            "Nothing was changed; this is a defect of the code."
        )


class UnrecordedTableError(FatalError):
    """A load arrived for a table that the ledger does not know."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(f"Table '{table}' is not in cubic_tables. Its declaration has to be synced before its loads.")


class DerivedTableError(FatalError):
    """An asset's name, or a column of what it returned, would hide rows or values in Springboard or the catalog."""

    def __init__(self, table: str, problem: str) -> None:
        super().__init__(f"'{table}' cannot be written: {problem}. Rename it; nothing was written.")


class InvalidKeyError(FatalError):
    """A key that an object store can never hold."""

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        super().__init__(f"Key '{key}' is not possible in this store ({problem}). Choose another name.")
