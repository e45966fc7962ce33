"""The platform of a command, which is closed when the command ends."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from cubic_ingestion.pipeline.ingestion_platform import Platform


def the_platform(context: "typer.Context") -> "Platform":
    """Build the platform that the settings describe; the home is made unless it is there."""
    from cubic_ingestion.bootstrap import build
    from cubic_ingestion.settings import read_settings

    return context.with_resource(build(read_settings()))


def existing_platform(context: "typer.Context") -> "Platform":
    """Build the platform for a command that only looks at what there is.

    Raises:
        HomeMissingError: There is no home. None is made.
    """
    from cubic_ingestion.bootstrap import build_existing
    from cubic_ingestion.settings import read_settings

    return context.with_resource(build_existing(read_settings()))
