"""The instance that launches runs as tasks of ECS: it loads, and is the other one in all but its launcher."""

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from boto3.session import Session
from dagster_aws.ecs import EcsRunLauncher

from cubic_ingestion_tests.homes import enter
from local_servers.postgres import make_database
from local_servers.production import DEPLOY

pytestmark = pytest.mark.postgres


@pytest.fixture
def environment(aws: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An AWS to ask, and a home with the configuration for ECS."""
    enter(tmp_path, monkeypatch)
    shutil.copy(DEPLOY / "ecs" / "dagster.yaml", tmp_path)
    for name, value in (aws | {"DAGSTER_HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_instance_loads_with_a_task_definition_that_has_the_container(
    environment: pytest.MonkeyPatch, postgres_url: str
) -> None:
    ecs: Any = Session().client("ecs")
    container = {"name": "run", "image": "cubic-ingestion:latest", "memory": 2048}
    ecs.register_task_definition(family="cubic-run", containerDefinitions=[container])
    environment.setenv("DAGSTER_ECS_TASK_DEFINITION", "cubic-run")
    environment.setenv("DAGSTER_POSTGRES_URL", make_database(postgres_url, "dagster", "postgresql+psycopg2"))
    environment.setenv("DAGSTER_COMPUTE_LOGS_BUCKET", "logs")
    environment.setenv("DAGSTER_COMPUTE_LOGS_PREFIX", "prod/dagster")

    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, EcsRunLauncher)
        assert launcher.container_name == "run"
        assert launcher.use_current_ecs_task_config


def test_nothing_but_the_launcher_differs() -> None:
    celery, ecs = (
        yaml.safe_load((folder / "dagster.yaml").read_text(encoding="utf-8")) for folder in (DEPLOY, DEPLOY / "ecs")
    )

    assert celery.pop("run_launcher") != ecs.pop("run_launcher")
    assert celery == ecs
