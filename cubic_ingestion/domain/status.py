"""The life of a load: its statuses, and which may follow which."""

from enum import StrEnum


class LoadStatus(StrEnum):
    """Where a load stands. The values are contract: people query them."""

    READY = "ready"
    INGESTING = "ingesting"
    READY_FOR_ARCHIVING = "ready_for_archiving"
    ARCHIVING = "archiving"
    ARCHIVED = "archived"
    READY_FOR_ERRORING = "ready_for_erroring"
    ERRORING = "erroring"
    ERRORED = "errored"


INGESTED = (LoadStatus.READY_FOR_ARCHIVING, LoadStatus.ARCHIVING, LoadStatus.ARCHIVED)
"""With rows in Springboard."""

TO_ERROR = (LoadStatus.READY_FOR_ERRORING, LoadStatus.ERRORING, LoadStatus.ERRORED)
"""In Error or on the way there: no longer placed anywhere else."""

ENDED = (LoadStatus.ARCHIVED, LoadStatus.ERRORED)
"""Nothing more is done with it, unless a person asks for it."""

TRANSITIONS: dict[LoadStatus, frozenset[LoadStatus]] = {
    LoadStatus.READY: frozenset({LoadStatus.INGESTING, LoadStatus.READY_FOR_ERRORING}),
    LoadStatus.INGESTING: frozenset({LoadStatus.READY_FOR_ARCHIVING, LoadStatus.READY_FOR_ERRORING, LoadStatus.READY}),
    LoadStatus.READY_FOR_ARCHIVING: frozenset({LoadStatus.ARCHIVING}),
    LoadStatus.ARCHIVING: frozenset(
        {LoadStatus.ARCHIVED, LoadStatus.READY_FOR_ARCHIVING, LoadStatus.READY_FOR_ERRORING}
    ),
    LoadStatus.ARCHIVED: frozenset(),
    LoadStatus.READY_FOR_ERRORING: frozenset({LoadStatus.ERRORING}),
    LoadStatus.ERRORING: frozenset({LoadStatus.ERRORED, LoadStatus.READY_FOR_ERRORING}),
    LoadStatus.ERRORED: frozenset({LoadStatus.READY}),
}
"""The only place that says which transition is legal; the ledger asks it before every change."""


class Work(StrEnum):
    """What a claim is taken for.

    Each kind names the status it starts from and the one it holds while the work goes on. A replay reads an archived
    load again and leaves its status alone.
    """

    INGEST = "ingest"
    ARCHIVE = "archive"
    ERROR = "error"
    REPLAY = "replay"

    @property
    def waiting(self) -> LoadStatus:
        """Status of loads that wait for this work."""
        return _WAITING[self]

    @property
    def held(self) -> LoadStatus:
        """Status of loads while somebody does this work."""
        return _HELD[self]


_WAITING = {
    Work.INGEST: LoadStatus.READY,
    Work.ARCHIVE: LoadStatus.READY_FOR_ARCHIVING,
    Work.ERROR: LoadStatus.READY_FOR_ERRORING,
    Work.REPLAY: LoadStatus.ARCHIVED,
}
_HELD = {
    Work.INGEST: LoadStatus.INGESTING,
    Work.ARCHIVE: LoadStatus.ARCHIVING,
    Work.ERROR: LoadStatus.ERRORING,
    Work.REPLAY: LoadStatus.ARCHIVED,
}
