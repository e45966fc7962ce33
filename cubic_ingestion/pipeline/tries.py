"""Tries: how the trouble of one load (table, data set, shard) is kept to that one, and when a load is given up.

Each step of the pipeline gives back what it could not do in its own way. Shared are the last resort, the pauses between
tries, the limit, and that what is finished is recorded before an error ends a chunk (docs/adr/0022).
"""

import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import structlog

from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.limits import Limits
from cubic_ingestion.domain.load import Load
from cubic_ingestion.errors import (
    CubicIngestionError,
    IllegalTransitionError,
    InvalidKeyError,
    ObjectFrozenError,
    RejectedLoadError,
    RetriableError,
    UnforeseenError,
)

Outcome = TypeVar("Outcome")

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=10)
_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@contextmanager
def last_resort() -> Generator[None]:
    """Turn an exception that no code expects into trouble of the one thing that is worked on inside.

    Our own errors pass, since they say what is to be done; but ``IllegalTransitionError`` is a defect. What ends a
    process, such as ``KeyboardInterrupt``, passes too.

    Raises:
        UnforeseenError: In place of any other exception. The traceback is in the log.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, CubicIngestionError) and not isinstance(error, IllegalTransitionError):
            raise
        _log.exception("unforeseen error")
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise UnforeseenError(type(error).__name__, f"{Path(last.filename).name}:{last.lineno}") from error


def isolated(
    work: Callable[[], Outcome],
    *,
    reject: Callable[[RejectedLoadError], object],
    retry: Callable[[RetriableError], object],
) -> Outcome | None:
    """Do some work on one load; what goes wrong with it concerns that load alone.

    Args:
        work: The work.
        reject: Called if the load is wrong.
        retry: Called if another try may help, also where an unforeseen error, or ``reject``, ended this one.

    Returns:
        What the work returns; None if the load was rejected, or is to be tried again.

    Raises:
        FatalError: Code or settings are wrong, so that no load can be worked on.
    """
    try:
        with last_resort():
            try:
                return work()
            except RejectedLoadError as error:
                reject(error)
            except InvalidKeyError as error:
                reject(RejectedLoadError("unusable_name", str(error)))
    except RetriableError as error:
        retry(error)
    return None


@contextmanager
def recorded_whatever_happens(record: Callable[[], object]) -> Generator[None]:
    """Call ``record`` at the end, also before an exception passes: what is finished is not lost with what is not.

    That exception passes even if recording fails too, as it does while the ledger is down.
    """
    try:
        yield
    except BaseException:
        with suppress(RetriableError):
            record()
        raise
    record()


def is_exhausted(load: Load, limits: Limits) -> bool:
    """Say whether a load may not be tried again."""
    return load.attempts >= limits.max_attempts


def pause_after(attempts: int) -> timedelta:
    """Return how long a load waits after a try."""
    return min(_FIRST_PAUSE * 2 ** min(attempts, 10), _LONGEST_PAUSE)


def given_up(load: Load, reason: object) -> RejectedLoadError:
    """Word why a load goes to Error after its last try."""
    why = reason.problem if isinstance(reason, CubicIngestionError) else reason
    message = f"Given up after {counted(load.attempts, 'attempt')}: {why}"
    if isinstance(reason, ObjectFrozenError):
        again = "replay it" if load.archive_key else f"run 'cubic loads retry {load.id}'"
        return RejectedLoadError("object_frozen", f"{message} Then {again}.")
    return RejectedLoadError("attempts_exhausted", message)


def was_given_up(load: Load) -> bool:
    """Say whether a rejected load was given up after its last try."""
    return load.error is not None and load.error.code == "attempts_exhausted"
