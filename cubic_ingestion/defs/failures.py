"""Failures: the platform's errors in Dagster's words."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from cubic_ingestion.defs.inert_text import inert
from cubic_ingestion.errors import FatalError, RetriableError

MAX_RETRIES = 3


@contextmanager
def step_failures(*, retry_after_seconds: float) -> Generator[None]:
    """Have the step tried again for what may pass, and failed at once for what does not.

    Args:
        retry_after_seconds: How long Dagster waits before each of the further tries.

    Raises:
        dg.RetryRequested: In place of a ``RetriableError``.
        dg.Failure: In place of a ``FatalError``; its text is inert.
    """
    try:
        yield
    except RetriableError as error:
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=retry_after_seconds) from error
    except FatalError as error:
        raise dg.Failure(description=inert(str(error)), allow_retries=False) from error
