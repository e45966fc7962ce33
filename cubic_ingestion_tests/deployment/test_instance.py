"""The production instance loads, on a real PostgreSQL and an S3 over HTTP, and every variable it names is told."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy import text

from cubic_ingestion.defs.translator import QUEUE_TAG, lane_tags
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion_tests.homes import enter
from local_servers.postgres import make_database

pytestmark = pytest.mark.postgres

DEPLOY = Path(__file__).parents[2] / "deploy"
PAGE = DEPLOY.parent / "docs" / "deploy.md"


@pytest.fixture
def instance(
    postgres_url: str, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The instance as a process in production opens it."""
    enter(tmp_path, monkeypatch)
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(DEPLOY / "dagster.yaml", home)
    s3.create_bucket(Bucket="compute-logs")
    for name, value in {
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_URL": make_database(postgres_url, "dagster", "postgresql+psycopg2"),
        "DAGSTER_COMPUTE_LOGS_BUCKET": "compute-logs",
        "DAGSTER_COMPUTE_LOGS_PREFIX": "prod/dagster",
        "DAGSTER_CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "DAGSTER_CELERY_BACKEND_URL": "redis://127.0.0.1:1/1",
        "AWS_ENDPOINT_URL": s3.meta.endpoint_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as opened:
        yield opened


@dg.asset
def talkative() -> None:
    """Leave a line in the compute log."""
    print("here I am")  # noqa: T201 - what the log is to hold


def test_every_part_is_the_one_meant_for_production(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_storage, PostgresRunStorage)
    assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
    assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
    assert isinstance(instance.run_launcher, CeleryRunLauncher)
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    assert isinstance(instance.compute_log_manager, S3ComputeLogManager)
    assert instance.run_monitoring_enabled
    assert instance.run_retries_enabled
    assert instance.get_settings("sensors")["use_threads"]
    assert set(instance.get_settings("retention")) == {"schedule", "sensor"}


def test_a_lane_a_stream_and_backfills_have_limits(instance: dg.DagsterInstance) -> None:
    config = instance.get_concurrency_config().run_queue_config
    assert config is not None
    limits = {limit["key"]: limit for limit in config.tag_concurrency_limits}
    assert set(limits) == {"cubic/stream", "cubic/lane", "dagster/backfill"}
    # All streams at their limits leave room for what people start.
    assert limits["cubic/stream"]["limit"] * len(StreamName) < config.max_concurrent_runs
    assert limits["cubic/lane"]["limit"] < limits["cubic/stream"]["limit"]


def test_what_a_run_prints_is_in_the_bucket_below_the_prefix(instance: dg.DagsterInstance, s3: Any) -> None:
    result = dg.materialize([talkative], instance=instance)

    stored = [each["Key"] for each in s3.list_objects_v2(Bucket="compute-logs")["Contents"]]
    (out,) = [key for key in stored if key.endswith(".out") and result.run_id in key]
    assert out.startswith("prod/dagster/")
    assert b"here I am" in s3.get_object(Bucket="compute-logs", Key=out)["Body"].read()


def test_the_page_s_statement_removes_a_run_s_lines_and_keeps_what_assets_show(instance: dg.DagsterInstance) -> None:
    run_id = dg.materialize([talkative], instance=instance).run_id
    (statement,) = re.findall(r"```sql\n(DELETE FROM event_logs.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        connection.execute(text(statement.replace("90 days", "-1 days")))

    kept = {record.dagster_event_type for record in instance.all_logs(run_id)}
    assert kept == {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, dg.DagsterEventType.ASSET_MATERIALIZATION}
    assert instance.get_latest_materialization_event(talkative.key)
    assert instance.get_run_by_id(run_id)


def test_each_stream_s_runs_go_on_its_own_queue() -> None:
    assert QUEUE_TAG == DAGSTER_CELERY_QUEUE_TAG
    assert {lane_tags(stream, "ingest")[QUEUE_TAG] for stream in StreamName} == {"ods", "dmap", "kafka"}


def test_the_workspace_names_the_code_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_CODE_SERVER_HOST", "code")
    (origin,) = WorkspaceFileTarget([str(DEPLOY / "workspace.yaml")]).create_origins()
    assert isinstance(origin, GrpcServerCodeLocationOrigin)
    assert (origin.host, origin.port, origin.location_name) == ("code", 4000, "cubic_ingestion")


def variables(node: object) -> Iterator[str]:
    """Yield what ``{env: NAME}`` names, anywhere in a document."""
    if isinstance(node, dict):
        if set(node) == {"env"}:
            yield node["env"]
        for child in node.values():
            yield from variables(child)
    elif isinstance(node, list):
        for child in node:
            yield from variables(child)


def test_every_variable_that_the_configuration_names_is_on_the_page_and_no_other() -> None:
    named = {
        name for path in DEPLOY.rglob("*.yaml") for name in variables(yaml.safe_load(path.read_text(encoding="utf-8")))
    }
    named |= set(re.findall(r'os\.environ\["(\w+)"\]', (DEPLOY / "dagster_celery_config.py").read_text("utf-8")))
    told = set(re.findall(r"^\| `(DAGSTER_\w+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert told - {"DAGSTER_HOME"} == named
