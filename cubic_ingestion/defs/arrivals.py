"""Expected arrivals: an asset whose checks are red while something has not come that should have.

A sensor looks every few minutes and reports a check when what it says changes; that needs no run. The asset can also be
materialised, by a person who will not wait.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from cubic_ingestion.defs.event_log import of_newest
from cubic_ingestion.defs.failures import step_failures
from cubic_ingestion.defs.inert_text import inert, listed
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.table import Table
from cubic_ingestion.observability.arrivals import missing_arrivals
from cubic_ingestion.observability.problems import ARRIVAL_CODES, Problem, ProblemCode
from cubic_ingestion.pipeline.ingestion_platform import Platform

ARRIVALS = dg.AssetKey("arrivals")
INTERVAL_SECONDS = 300

_DESCRIPTIONS: Mapping[ProblemCode, str] = {
    ProblemCode.MISSING_DAY: "Red while a table with data of every day, or of every working day, lacks a day.",
    ProblemCode.MISSING_LOAD_FILE: "Red while the counters of a table's newest full load have a gap.",
    ProblemCode.SILENT: "Red while a change table or a Kafka table is silent for longer than it is used to.",
    ProblemCode.STALE: "Red while a table is without new data for longer than its declaration allows.",
}
_SHOWN = 50


@dg.asset(
    key=ARRIVALS,
    group_name="audit",
    description="Compares what has arrived with what should have by now; changes nothing.",
    check_specs=[
        dg.AssetCheckSpec(code.value, asset=ARRIVALS, description=_DESCRIPTIONS[code]) for code in ARRIVAL_CODES
    ],
)
def expected_arrivals(platform: dg.ResourceParam[Platform]) -> Iterator[dg.MaterializeResult[Any]]:
    """Do what the sensor does, at once."""
    with step_failures(retry_after_seconds=60):
        found = _found(platform)
    results = [
        dg.AssetCheckResult(
            passed=not problems, check_name=code.value, asset_key=ARRIVALS, metadata=_metadata(problems)
        )
        for code, problems in found.items()
    ]
    yield dg.MaterializeResult(metadata={code.value: len(found[code]) for code in ARRIVAL_CODES}, check_results=results)


@dg.sensor(
    description="Reports what should have arrived by now and did not; the checks of `arrivals` show it.",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def missing_arrivals_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
) -> dg.SensorResult:
    """Report each check that says something else than the last time, and its tables' own pages."""
    told: dict[str, list[str]] = json.loads(context.cursor or "{}")
    found = _found(platform)
    now = {code.value: sorted({problem.table for problem in problems}) for code, problems in found.items()}
    changed = [code for code in ARRIVAL_CODES if told.get(code.value) != now[code.value]]
    tables = platform.tables
    events: list[dg.AssetCheckEvaluation | dg.AssetObservation | dg.AssetMaterialization] = []
    for code in changed:
        problems = found[code]
        evaluation = dg.AssetCheckEvaluation(
            asset_key=ARRIVALS, check_name=code.value, passed=not problems, metadata=_metadata(problems)
        )
        events.append(of_newest(context.instance, evaluation))
        news = [problem for problem in problems if problem.table not in told.get(code.value, ())]
        events += [_observation(tables[problem.table], problem) for problem in news]
    return dg.SensorResult(
        asset_events=events,
        cursor=json.dumps(now),
        skip_reason=f"Changed: {', '.join(code.value for code in changed) or 'nothing'}.",
    )


def _found(platform: Platform) -> dict[ProblemCode, list[Problem]]:
    problems = missing_arrivals(platform.tables, platform.ledger, platform.clock.now())
    return {code: [problem for problem in problems if problem.code is code] for code in ARRIVAL_CODES}


def _observation(table: Table, problem: Problem) -> dg.AssetObservation:
    return dg.AssetObservation(
        asset_key(table),
        metadata={"problem": problem.code.value, "message": inert(problem.message), "remedy": problem.remedy},
    )


def _metadata(problems: Sequence[Problem]) -> dict[str, Any]:
    texts = [f"{problem.table}: {problem.message} {problem.remedy}" for problem in problems]
    return {"n_tables": len(problems), "tables": listed(texts, _SHOWN, command="cubic status")}
