"""What the platform relies on in Dagster's private modules, and in public calls that do more than their names say.

A new release of Dagster may change any of it. Then a test here says what, before others say that something is wrong.
"""

import ast
import asyncio
from pathlib import Path
from typing import IO, cast
from uuid import UUID

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.instance.ref import InstanceRef
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import BACKFILL_ID_TAG, MAX_RETRIES_TAG, PARTITION_NAME_TAG
from dagster._core.utils import make_new_run_id

import cubic_ingestion
from cubic_ingestion.defs.event_log import is_evaluated, of_newest, report_without_run
from cubic_ingestion.defs.instance import embedded_state

PACKAGE = Path(cubic_ingestion.__file__).parent
RELIED_ON = {
    "dagster._core.definitions.asset_checks.asset_check_evaluation.AssetCheckEvaluationTargetMaterializationData",
    "dagster._core.definitions.assets.graph.asset_graph_subset.AssetGraphSubset",
    "dagster._core.definitions.assets.job.asset_job.IMPLICIT_ASSET_JOB_NAME",
    "dagster._core.definitions.events.AssetKeyPartitionKey",
    "dagster._core.events.AssetMaterializationPlannedData",
    "dagster._core.events.StepMaterializationData",
    "dagster._core.instance.ref.InstanceRef",
    "dagster._core.instance.utils.RUNLESS_JOB_NAME",
    "dagster._core.instance.utils.RUNLESS_RUN_ID",
    "dagster._core.storage.asset_check_execution_record.AssetCheckExecutionRecordStatus",
    "dagster._core.storage.dagster_run.NOT_FINISHED_STATUSES",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.storage.tags.BACKFILL_ID_TAG",
    "dagster._core.storage.tags.MAX_RETRIES_TAG",
    "dagster._core.storage.tags.PARTITION_NAME_TAG",
    "dagster._core.utils.make_new_run_id",
}
KEY = dg.AssetKey("sample")
DAYS = dg.StaticPartitionsDefinition(["monday", "tuesday", "wednesday"])


@dg.asset(name="sample", partitions_def=DAYS)
def sample() -> None:
    """Stand for a table."""


def private_names(path: Path) -> set[str]:
    """Return the private modules, and names in them, that a module imports or has Dagster import by name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return {name for name in names if name.startswith("dagster") and "._" in name and " " not in name}


def materialized(instance: dg.DagsterInstance, *days: str) -> None:
    """Report materialisations that belong to no run."""
    report_without_run(instance, [dg.AssetMaterialization(KEY, partition=day) for day in days])


def test_everything_private_that_is_used_stands_here() -> None:
    assert {name for path in PACKAGE.rglob("*.py") for name in private_names(path)} == RELIED_ON


def test_an_instance_called_temporary_keeps_everything_in_its_folder(tmp_path: Path) -> None:
    for _ in range(2):
        with dg.DagsterInstance.local_temp(str(tmp_path), overrides=embedded_state(tmp_path)) as instance:
            materialized(instance, "monday")

    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=embedded_state(tmp_path)) as instance:
        assert len(instance.fetch_materializations(KEY, limit=10).records) == 2
        with instance.compute_log_manager.open_log_stream(["run"], ComputeIOType.STDERR) as written:
            assert written
            print("printed", file=cast("IO[str]", written))
    assert "printed\n" in {path.read_text("utf-8") for path in (tmp_path / "compute_logs").rglob("*") if path.is_file()}


def test_overrides_count_more_than_dagster_yaml(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: true\n", encoding="utf-8")
    ref = InstanceRef.from_dir(str(tmp_path), overrides={"telemetry": {"enabled": False}})

    with dg.DagsterInstance.from_ref(ref) as instance:
        assert instance.telemetry_enabled is False


def test_the_job_of_a_reported_attempt_is_the_one_that_assets_are_in() -> None:
    definitions = dg.Definitions(assets=[sample])

    assert definitions.resolve_implicit_global_asset_job_def().name == IMPLICIT_ASSET_JOB_NAME


def test_an_evaluation_outside_runs_is_shown_though_a_run_materialised_in_the_same_second(
    instance: dg.DagsterInstance,
) -> None:
    check = dg.AssetCheckKey(KEY, "complete")
    dg.materialize([sample], instance=instance, partition_key="monday")
    instance.report_runless_asset_event(of_newest(instance, dg.AssetCheckEvaluation(KEY, check.name, passed=True)))

    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
    assert is_evaluated(instance, check)
    assert asyncio.run(record.targets_latest_materialization(LoadingContextForTest(instance)))
    dg.materialize([sample], instance=instance, partition_key="tuesday")
    assert not is_evaluated(instance, check)
    assert not asyncio.run(record.targets_latest_materialization(LoadingContextForTest(instance)))


def test_what_belongs_to_no_run_is_shown_as_what_dagster_itself_reports_so(instance: dg.DagsterInstance) -> None:
    materialized(instance, "monday")
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition="tuesday"))

    ours, theirs = (
        instance.fetch_materializations(dg.AssetRecordsFilter(KEY, asset_partitions=[day]), limit=1).records[0]
        for day in ("monday", "tuesday")
    )
    assert (ours.run_id, theirs.run_id) == (RUNLESS_RUN_ID, RUNLESS_RUN_ID)
    assert (ours.event_log_entry.job_name, theirs.event_log_entry.job_name) == (RUNLESS_JOB_NAME, RUNLESS_JOB_NAME)
    assert instance.get_materialized_partitions(KEY) == {"monday", "tuesday"}


def test_an_empty_set_of_partitions_means_all(instance: dg.DagsterInstance) -> None:
    materialized(instance, "monday", "tuesday", "monday")
    kind, log = dg.DagsterEventType.ASSET_MATERIALIZATION, instance.event_log_storage

    assert set(log.get_latest_storage_id_by_partition(KEY, kind, set())) == {"monday", "tuesday"}
    newest = log.get_latest_storage_id_by_partition(KEY, kind, {"monday"})
    records = log.get_event_records(dg.EventRecordsFilter(kind, asset_key=KEY, asset_partitions=["monday"]))
    assert newest == {"monday": max(record.storage_id for record in records)}


def test_a_partition_is_failed_if_the_last_run_that_planned_it_failed(instance: dg.DagsterInstance) -> None:
    materialized(instance, "monday")
    run = instance.run_storage.add_run(
        dg.DagsterRun(job_name=IMPLICIT_ASSET_JOB_NAME, run_id=make_new_run_id(), asset_selection={KEY})
    )
    planned = dg.DagsterEvent.build_asset_materialization_planned_event(
        run.job_name, "sample", AssetMaterializationPlannedData(KEY, partition="monday")
    )
    instance.report_dagster_event(planned, run.run_id)
    instance.report_run_failed(run, "why")

    shown = instance.get_status_by_partition(KEY, ["monday"], DAYS) or {}
    assert [status.value for status in shown.values() if status] == ["FAILED"]


def test_a_run_that_has_not_ended_is_in_every_status_but_four() -> None:
    ended = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}

    # A managed run is one that Dagster itself never starts.
    assert set(NOT_FINISHED_STATUSES) == set(dg.DagsterRunStatus) - ended - {dg.DagsterRunStatus.MANAGED}


def test_tags_are_those_of_dagster_s_documentation_and_run_ids_are_uuids() -> None:
    assert (PARTITION_NAME_TAG, BACKFILL_ID_TAG, MAX_RETRIES_TAG) == (
        "dagster/partition",
        "dagster/backfill",
        "dagster/max_retries",
    )
    assert UUID(make_new_run_id()) != UUID(make_new_run_id())


def test_a_subset_without_partitions_has_the_others() -> None:
    graph = dg.Definitions(assets=[sample]).resolve_asset_graph()
    all_days = {AssetKeyPartitionKey(KEY, day) for day in DAYS.get_partition_keys()}
    monday = AssetKeyPartitionKey(KEY, "monday")

    left = AssetGraphSubset.from_asset_partition_set(all_days, graph) - AssetGraphSubset.from_asset_partition_set(
        {monday}, graph
    )

    assert set(left.iterate_asset_partitions()) == all_days - {monday}
