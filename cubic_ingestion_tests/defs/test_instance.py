"""Which Dagster instance the command line opens: the one that the UI and the daemon have."""

import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import dagster as dg
import pytest
from dagster._cli.utils import get_possibly_temporary_instance_for_cli

from cubic_ingestion.defs.instance import SHIPPED, dagster_instance
from cubic_ingestion.errors import SettingsError
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.homes import enter
from local_servers.environment import clean_environment

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


def test_the_shipped_settings_are_those_of_the_root() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == (ROOT / "dagster.yaml").read_text(encoding="utf-8")


def test_in_any_working_directory_the_shipped_settings_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = enter(tmp_path, monkeypatch)
    with dagster_instance(read_settings()) as instance:
        leave_a_trace(instance)
        assert not instance.telemetry_enabled
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 8  # pyright: ignore[reportOptionalMemberAccess] - it has a queue
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with dg.DagsterInstance.get() as instance:
        assert has_trace(instance)
        assert not instance.telemetry_enabled
        assert instance.get_settings("sensors")["use_threads"]


@pytest.mark.parametrize("where", ["working directory", "DAGSTER_HOME"])
@pytest.mark.parametrize(
    ("text", "is_on"),
    [("nux: {enabled: false}\n", False), ("telemetry: {enabled: true}\n", True), ("", False)],
    ids=["not mentioned", "turned on", "empty"],
)
def test_telemetry_is_off_unless_somebody_turns_it_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, text: str, *, is_on: bool
) -> None:
    enter(tmp_path, monkeypatch)
    if where == "DAGSTER_HOME":
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(text)
    with dagster_instance(read_settings()) as instance:
        assert instance.telemetry_enabled == is_on


@pytest.mark.slow
def test_a_wheel_brings_the_settings_to_any_working_directory(tmp_path: Path) -> None:
    """The wheel is unpacked, and comes first on the path of a process that is far from the repository."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "cubic_ingestion", source / "cubic_ingestion", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    for name in ("benchmarks", "cubic_ingestion_tests", "local_servers"):  # which are not to be in it
        (source / name).mkdir()
        shutil.copy(ROOT / name / "__init__.py", source / name)
    wheel_of = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, *wheel_of, str(source)], check=True, capture_output=True, timeout=200)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    assert {path.name for path in (tmp_path / "site").iterdir() if path.suffix != ".dist-info"} == {"cubic_ingestion"}
    work = tmp_path / "work"
    work.mkdir()
    environment = clean_environment() | {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(work)}
    run = "import sys, cubic_ingestion.cli as c; sys.argv[1:] = {arguments!r}; print(c.__file__); c.main()"
    told: list[str] = []
    for command in (["demo"], ["ingest"], ["audit"]):
        done = subprocess.run(
            [sys.executable, "-c", run.format(arguments=command)],
            cwd=work,
            env=environment,
            text=True,
            capture_output=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(tmp_path / "site"))
        told.append(done.stdout + done.stderr)
    assert "telemetry" not in "".join(told).lower()
    assert {path.name for path in work.iterdir()} == {".cubic"}


def test_dagster_s_storage_without_space_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))  # no file of this process grows beyond
    try:
        with (
            pytest.raises(
                SettingsError, match=r"^DAGSTER_HOME: Dagster's storage in '.*/dagster' cannot be used .*\.$"
            ),
            dagster_instance(read_settings()),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
