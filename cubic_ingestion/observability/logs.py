"""Logs: structlog for our own events, and whatever libraries say through Python's logging, in one format.

An event is a few words and its facts, by name: ``load_id``, ``table``, ``stream``, ``run_id``. What is bound with
``structlog.contextvars`` while a load is worked on stands in every line of that time, those of libraries too.
"""

import logging
import sys
from collections.abc import Collection, Mapping
from typing import Any, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from cubic_ingestion.observability.redaction import Redactor
from cubic_ingestion.outside_text import visible, visible_lines

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_DAGSTER = ("dagster", "dagit", "dagster-webserver")
_QUIET = ("alembic", "botocore", "boto3", "urllib3", "s3transfer", "httpx", "httpcore")
"""Libraries that tell of every request at the level of information."""


class LogStream(logging.StreamHandler):  # pyright: ignore[reportMissingTypeArgument] - generic in the stubs only
    """Writes to whatever standard error is at the moment; Dagster puts another one there while a step runs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out what Dagster's own processes write themselves (``--log-format json`` there)."""
        first = record.name.partition(".")[0]
        return bool(super().filter(record)) and not (first in _DAGSTER and logging.getLogger(first).handlers)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


def set_up_logs(form: str, level: str, secrets: Collection[str] = ()) -> None:
    """Have all logs of this process written to standard error; once more replaces what was before.

    Args:
        form: ``console`` for people, ``json`` for one object a line.
        level: What is less important than this is left out.
        secrets: Texts that no line may hold.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    root = logging.getLogger()
    for ours in [each for each in root.handlers if isinstance(each, LogStream)]:
        root.removeHandler(ours)
    root.addHandler(log_stream(form, secrets))
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def log_stream(form: str, secrets: Collection[str] = ()) -> LogStream:
    """Make what writes records of Python's logging, our own or a library's, to standard error."""
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
    )
    stream = LogStream()
    stream.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=(*_SHARED, _as_dagster_means_it),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                Redactor(secrets),
                _with_visible_text,
                renderer,
            ],
        )
    )
    return stream


def _with_visible_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Show texts from outside as ``visible`` does, in JSON too: people print its texts. A traceback keeps its lines."""
    return {
        visible(name): visible_lines(value) if name == "exception" else _visible(value) for name, value in event.items()
    }


def _visible(value: object) -> object:
    """Show what the redactor leaves: texts, numbers, and lists and mappings of them."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_visible(each) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {visible(name): _visible(each) for name, each in cast("dict[str, object]", value).items()}
    return value


def _as_dagster_means_it(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take a run's ids out of the text that Dagster puts them into, where they are facts of their own."""
    meta = getattr(event["_record"], "dagster_meta", None)
    if not isinstance(meta, Mapping):
        return event
    facts = cast("Mapping[str, Any]", meta)
    tags = facts.get("job_tags") or {}
    told = {"run_id": facts.get("run_id"), "step": facts.get("step_key"), "stream": tags.get("cubic/stream")}
    happened = facts.get("dagster_event")
    if happened is not None:
        told["dagster_event"] = happened.event_type_value
    ours = {name: value for name, value in told.items() if value}
    return {**event, **ours, "event": facts.get("orig_message") or event["event"]}
