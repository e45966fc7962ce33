"""Steps: each load's way through the ledger, with times and runs."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, String, bindparam, insert, select

from cubic_ingestion.domain.steps import Step, StepKind
from cubic_ingestion.ledger.change_models import CubicLoadStep
from cubic_ingestion.ledger.columns import UtcDateTime
from cubic_ingestion.ledger.models import CubicLoad
from cubic_ingestion.ledger.rows import IS_IN_PAGE, in_pages
from cubic_ingestion.ledger.transactions import Part, reads

_PASSED = select(
    CubicLoad.id,
    bindparam("moment", type_=UtcDateTime),
    bindparam("kind", type_=String),
    bindparam("run", type_=String),
).where(IS_IN_PAGE)
# The same step at the same moment is the same fact. A suffix, since SQLAlchemy renders its own upserts anew each time;
# every load takes some steps.
_RECORD = insert(CubicLoadStep).from_select(
    ["load_id", "at", "step", "run_id"], _PASSED.order_by(CubicLoad.id).suffix_with("ON CONFLICT DO NOTHING")
)


class Steps(Part):
    """What loads went through."""

    @reads
    def of(self, connection: Connection, load_id: int) -> list[Step]:
        """Return the steps of a load, oldest first; empty if there is no such load.

        Raises:
            DatabaseUnavailableError: The database did not answer within the time of retries.
        """
        registered = select(CubicLoad.inserted_at).where(CubicLoad.id == load_id)
        taken = select(CubicLoadStep.step, CubicLoadStep.at, CubicLoadStep.run_id)
        rows = connection.execute(taken.where(CubicLoadStep.load_id == load_id).order_by(CubicLoadStep.at)).tuples()
        steps = [Step(StepKind(kind), at, run_id) for kind, at, run_id in rows]
        first = [Step(StepKind.REGISTERED, at, None) for at in connection.execute(registered).scalars()]
        order = list(StepKind)
        return sorted(first + steps, key=lambda step: (step.at, order.index(step.kind)))


def record_steps(
    connection: Connection, load_ids: Collection[int], kind: StepKind, at: datetime, claimant: str | None = None
) -> None:
    """Record a step of some loads, in the transaction that takes it.

    Args:
        connection: Where.
        load_ids: The loads.
        kind: The step.
        at: When.
        claimant: Who takes it; its name begins with the run's id.
    """
    run_id = claimant and claimant.partition("/")[0]
    for page in in_pages(load_ids):
        connection.execute(_RECORD, {"page": page, "moment": at, "kind": kind.value, "run": run_id})
