"""Which Dagster instance the command line opens: the one that the UI and the daemon have."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import dagster as dg
import pytest
from dagster._cli.utils import get_possibly_temporary_instance_for_cli

from cubic_ingestion.defs.instance import dagster_instance
from cubic_ingestion.errors import SettingsError
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.homes import enter

ROOT = Path(__file__).parents[2]


def leave_a_trace(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("trace", ["here"])


def has_trace(instance: dg.DagsterInstance) -> bool:
    return instance.has_dynamic_partition("trace", "here")


def test_state_is_kept_below_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = enter(tmp_path, monkeypatch)
    with dagster_instance(read_settings()) as instance:
        leave_a_trace(instance)
    with dagster_instance(read_settings()) as instance:
        assert has_trace(instance)
    assert {path.name for path in tmp_path.iterdir()} == {".cubic"}
    assert (home / "dagster").is_dir()


def test_dagster_dev_in_the_root_has_the_same_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    with dagster_instance(read_settings()) as instance:
        leave_a_trace(instance)
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 8  # pyright: ignore[reportOptionalMemberAccess] - it has a queue

    with get_possibly_temporary_instance_for_cli("dagster dev") as instance:
        assert has_trace(instance)


def test_dagster_home_counts_for_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(elsewhere))
    with dagster_instance(read_settings()) as instance:
        leave_a_trace(instance)
    with dg.DagsterInstance.get() as instance:
        assert has_trace(instance)
    assert not (tmp_path / ".cubic" / "dagster").exists()


def test_a_dagster_home_in_a_dotenv_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".env").write_text(f"DAGSTER_HOME={tmp_path / 'elsewhere'}\n")
    with dagster_instance(read_settings()) as instance:
        leave_a_trace(instance)
    assert any((tmp_path / "elsewhere").iterdir())


def test_an_empty_dagster_home_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dagster_instance(read_settings()) as instance:
        leave_a_trace(instance)
    assert {path.name for path in tmp_path.iterdir()} == {".cubic"}


@pytest.mark.parametrize("value", ["missing", "/nonexistent/dagster", "relative"])
def test_a_dagster_home_that_dagster_would_refuse_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    enter(tmp_path, monkeypatch)
    (tmp_path / "relative").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", value)
    with pytest.raises(SettingsError, match=f"^DAGSTER_HOME: '{value}' is no"), dagster_instance(read_settings()):
        pass


def test_another_home_has_its_own_state_whatever_dagster_yaml_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("CUBIC_HOME", str(tmp_path / "other"))
    with dagster_instance(read_settings()) as instance:
        leave_a_trace(instance)
    assert {path.name for path in tmp_path.iterdir()} == {"dagster.yaml", "other"}


def test_many_may_open_a_new_instance_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    settings, at_once = read_settings(), 6
    together = Barrier(at_once)

    def open_and_look(_: int) -> int:
        together.wait()
        with dagster_instance(settings) as instance:
            return instance.get_runs_count()

    with ThreadPoolExecutor(at_once) as pool:
        assert list(pool.map(open_and_look, range(at_once))) == [0] * at_once
