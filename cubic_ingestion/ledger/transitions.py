"""What a change of status does to a row, asked of the one place that knows which is legal."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import TRANSITIONS, LoadStatus, Work
from cubic_ingestion.errors import IllegalTransitionError
from cubic_ingestion.ledger.models import CubicLoad
from cubic_ingestion.ledger.rows import IS_IN_PAGE, in_pages

MAX_REASON_CHARACTERS = 2_000
"""Of a text that says why something waits."""

UNCLAIMED: Mapping[str, Any] = {"claimed_by": None, "claim_expires_at": None}
"""Column values of a load that nobody holds."""

GIVEN_BACK = {work.held: work.waiting for work in Work}
"""Status that a held load returns to, by the status it is held in."""

# In order of id, so that two transactions never wait for each other in a circle.
_HELD = (
    select(CubicLoad.__table__)
    .where(IS_IN_PAGE, CubicLoad.claimed_by == bindparam("claimant"))
    .order_by(CubicLoad.id)
    .with_for_update()
)


def moved(load_id: int, current: str, target: LoadStatus) -> dict[str, Any]:
    """Return the column values that move a load on and end its claim.

    Raises:
        IllegalTransitionError: ``target`` may not follow ``current``.
    """
    if target not in TRANSITIONS[LoadStatus(current)]:
        raise IllegalTransitionError(load_id, current, target)
    return {"status": target.value, **UNCLAIMED}


def explained(error: LoadError | None) -> dict[str, Any]:
    """Return the column values that record why a load was rejected, or that it was not; nobody has acknowledged it."""
    return {
        **dict.fromkeys(("acknowledged_at", "acknowledged_by", "acknowledged_reason")),
        "error_code": error and error.code,
        "error_message": error and error.message,
        "error_row": error and error.row,
        "error_column": error and error.column,
        "error_cells": (error and error.bad_cells and json.dumps([astuple(cell) for cell in error.bad_cells])) or None,
    }


def held_rows(connection: Connection, claimant: str, load_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Lock and return the rows of those loads that the claimant still holds."""
    held: dict[int, Row[Any]] = {}
    for page in in_pages(load_ids):
        held |= {row.id: row for row in connection.execute(_HELD, {"page": page, "claimant": claimant})}
    return held
