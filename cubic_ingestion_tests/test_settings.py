"""Settings that name places: a ``~`` is the person's folder, also where no shell sees it."""

import os
from pathlib import Path

import pytest

from cubic_ingestion.errors import SettingsError
from cubic_ingestion.settings import BUCKETS, read_settings
from local_servers.environment import clean_environment

URLS = tuple(f"CUBIC_{bucket.upper()}_URL" for bucket in BUCKETS)


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder without settings; returns the folder of the person."""
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    person = tmp_path / "person"
    person.mkdir()
    monkeypatch.setenv("HOME", str(person))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return person


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_tilde_is_the_persons_folder_in_every_setting_of_a_path(
    person: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    values = {name: f"~/{name}" for name in ("CUBIC_HOME", "CUBIC_TABLES_DIR", "DAGSTER_HOME", *URLS)}
    values["CUBIC_DATABASE_URL"] = "sqlite:///~/db/metadata.sqlite"
    if where == ".env":
        Path(".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    else:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    settings = read_settings()

    assert settings.home == person / "CUBIC_HOME"
    assert settings.tables_dir == person / "CUBIC_TABLES_DIR"
    assert settings.dagster_home == person / "DAGSTER_HOME"
    assert [settings.bucket_url(bucket) for bucket in BUCKETS] == [str(person / name) for name in URLS]
    assert settings.metadata_url == f"sqlite:///{person}/db/metadata.sqlite"


def test_one_bucket_in_another_is_noticed_behind_a_tilde(person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBIC_INCOMING_URL", "~/landing")
    monkeypatch.setenv("CUBIC_ARCHIVE_URL", str(person / "landing" / "archive"))

    with pytest.raises(SettingsError, match="CUBIC_ARCHIVE_URL"):
        read_settings()


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("inside", ["springboard/products", "."])
def test_a_warehouse_in_another_bucket_or_around_it_is_refused(monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    monkeypatch.setenv("CUBIC_WAREHOUSE_URL", str(Path(".cubic").absolute() / inside))

    with pytest.raises(SettingsError, match="the warehouse bucket"):
        read_settings()


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("name", ["CUBIC_SPRINGBOARD_URL", "CUBIC_WAREHOUSE_URL"])
def test_the_duckdb_catalog_is_refused_for_files_in_s3(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "s3://bucket/prod")

    with pytest.raises(SettingsError, match="CUBIC_CATALOG: The DuckDB catalog reads local folders alone"):
        read_settings()
    monkeypatch.setenv("CUBIC_CATALOG", "glue")
    assert read_settings().catalog == "glue"


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("name", ["CUBIC_HOME", "CUBIC_TABLES_DIR", "CUBIC_INCOMING_URL"])
def test_the_folder_of_nobody_is_refused_by_the_settings_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "~no-such-person/x")

    with pytest.raises(SettingsError, match=f"^{name}: .*'~no-such-person' is nobody's folder"):
        read_settings()


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("url", ["s3://bucket/~x", "file:///data/~x", "plain/~x"])
def test_a_tilde_that_is_not_at_the_start_is_a_letter(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CUBIC_INCOMING_URL", url)

    assert read_settings().incoming_url == url
