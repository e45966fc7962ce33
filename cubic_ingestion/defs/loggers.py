"""Loggers: what runs say through Dagster goes into the same logs as all else, beside Dagster's own event log."""

import logging

import dagster as dg

from cubic_ingestion.observability.logs import log_stream
from cubic_ingestion.settings import read_settings


@dg.logger(
    {
        "log_level": dg.Field(
            str, is_required=False, default_value="DEBUG", description="Least level that is written."
        ),
        "name": dg.Field(str, is_required=False, default_value="dagster", description="Name of the logger."),
    },
    description="Writes to standard error, in the format of the settings.",
)
def console(init_context: dg.InitLoggerContext) -> logging.Logger:
    """Make Dagster's usual console logger, or one that writes JSON if the settings say so."""
    settings = read_settings()
    if settings.log_format == "console":
        return dg.colored_console_logger.logger_fn(init_context)
    config = init_context.logger_config
    made = logging.getLoggerClass()(config["name"], level=config["log_level"].upper())
    made.addHandler(log_stream(settings.log_format, settings.secrets))
    return made
