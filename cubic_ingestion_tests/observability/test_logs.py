"""Logs: one format for our own events and for libraries, with the ids of the load, and without secrets."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from cubic_ingestion.observability.logs import LogStream, set_up_logs
from cubic_ingestion.observability.redaction import Redactor
from cubic_ingestion.outside_text import ACTING
from cubic_ingestion.pipeline.parallel import in_parallel
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.depot import Depot

SECRET = "Pl4nted/S3cret"  # noqa: S105 - planted, to be searched for


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - pytest calls it
    """Leave logging as it was found."""
    root = logging.getLogger()
    handlers, level, was = list(root.handlers), root.level, structlog.get_config()
    yield
    for handler in [each for each in root.handlers if isinstance(each, LogStream) and each not in handlers]:
        root.removeHandler(handler)
    root.setLevel(level)
    structlog.configure(**was)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was logged as JSON; standard output stays clean."""
    out, error = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in error.splitlines()]


def test_every_line_about_a_load_has_its_ids(depot: Depot, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("json", "info")
    depot.put("cubic/dmap/agg_sample/20220304.csv", b"sample_id,sample_name,sample_count\n1,a,5\n")
    depot.put("cubic/dmap/agg_sample/20220305.csv", b"sample_id,sample_name,sample_count\n1,a,many\n")
    depot.settle()

    told = {line["event"]: line for line in lines(capsys)}
    for event, load_id in (("load ingested", 1), ("load rejected", 2)):
        line = told[event]
        assert (line["load_id"], line["table"], line["stream"]) == (load_id, "cubic__dmap__agg_sample", "dmap")
        assert line["run_id"] == "test"
    assert (told["load ingested"]["n_rows"], told["load ingested"]["level"]) == (1, "info")
    assert (told["load rejected"]["code"], told["load rejected"]["level"]) == ("bad_value", "warning")
    assert told["original moved"]["moved_to"].startswith("cubic/dmap/agg_sample/")


def test_what_libraries_say_has_the_same_format_and_the_ids_that_are_bound(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("json", "info")
    with structlog.contextvars.bound_contextvars(load_id=7):
        logging.getLogger("some.library").warning("retry %s of %s", 1, 3)

    (line,) = lines(capsys)
    assert (line["event"], line["logger"], line["level"], line["load_id"]) == (
        "retry 1 of 3",
        "some.library",
        "warning",
        7,
    )
    assert line["timestamp"].endswith("Z")


def test_threads_of_a_run_log_what_their_run_bound(depot: Depot) -> None:
    for day in ("20220304", "20220305", "20220306"):
        depot.put(f"cubic/dmap/agg_sample/{day}.csv", b"sample_id,sample_name,sample_count\n1,a,5\n")
    depot.settle()
    with structlog.contextvars.bound_contextvars(run_id="r"):
        seen = in_parallel(
            lambda _load: structlog.contextvars.get_contextvars(), depot.platform.ledger.queries.loads(), 2
        )
    assert seen == [{"run_id": "r"}] * 3


def test_the_level_leaves_out_what_is_less_and_setting_up_again_writes_nothing_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logs("json", "info")
    set_up_logs("json", "warning")
    log = structlog.stdlib.get_logger("ours")
    log.info("not told")
    log.warning("told")
    logging.getLogger("theirs").info("not told")
    assert [line["event"] for line in lines(capsys)] == ["told"]


def test_people_get_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("console", "info")
    structlog.stdlib.get_logger("ours").info("load ingested", n_rows=3)
    error = capsys.readouterr().err
    assert "load ingested" in error
    assert "n_rows=3" in error


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_written_wherever_it_stands(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(form, "info", [SECRET])
    log = structlog.stdlib.get_logger("ours")
    log.info("x", password=SECRET, nested={"api_key": "Pl4nted", "urls": [f"postgresql://me:{SECRET}@host/db"]})
    logging.getLogger("theirs").warning("GET https://host/f.csv?sig=Pl4nted&x=1 apikey: Pl4nted, %s", SECRET)
    try:
        raise ValueError(f"cannot connect with {SECRET}")
    except ValueError:
        log.exception("failed")
    error = capsys.readouterr().err
    assert "Pl4nted" not in error
    assert error.count("***") >= 6
    assert "ValueError: cannot connect with ***" in error.replace("\\n", "\n")


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("https://b/f?X-Amz-Signature=ab&v=1", "https://b/f?X-Amz-Signature=***&v=1"),
        ("aws_secret_access_key='ab c', region=x", "aws_secret_access_key=***, region=x"),
        ("Authorization: Bearer ab", "Authorization: ***"),
        ("a load of table cubic__dmap__agg_sample, row 3", "a load of table cubic__dmap__agg_sample, row 3"),
        ("cubic/ods_qlik/EDW.TOKEN_USE/LOAD1.csv.gz", "cubic/ods_qlik/EDW.TOKEN_USE/LOAD1.csv.gz"),
    ],
)
def test_secrets_of_unknown_value_are_known_by_their_place(text: str, redacted: str) -> None:
    assert Redactor().text(text) == redacted


def test_names_and_numbers_stay_what_they_are() -> None:
    event = {"event": "x", "load_id": 1, "table": a_table().name, "ok": True, "key": "a/b.csv"}
    assert Redactor()(None, "info", dict(event)) == event


@pytest.mark.parametrize("form", ["json", "console"])
def test_names_from_outside_act_on_nobody_who_reads_the_log(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(form, "info")
    log = structlog.stdlib.get_logger("ours")
    with structlog.contextvars.bound_contextvars(key="caf\udce9\x1b[2J.csv"):
        log.info("load\nrejected", columns=["x\x1b"], cells={"a\x9b": "\u202e"})
        logging.getLogger("theirs").warning("GET %s", "a\x1b[31m")
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        log.exception("failed")

    error = capsys.readouterr().err

    assert [each for each in ACTING.findall(error) if each != "\n"] == []
    texts = [text for line in error.splitlines() for text in json.loads(line).values()] if form == "json" else [error]
    assert any(r"caf\xe9\x1b[2J.csv" in text for text in texts)
    assert any(r"load\nrejected" in str(text) for text in texts)
    assert any("Traceback (most recent call last):\n" in str(text) for text in texts)
