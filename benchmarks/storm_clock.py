"""A ``cubic`` whose clock is wrong: ``python -m benchmarks.storm_clock 86400 ingest`` lives a day ahead."""

import sys
from datetime import UTC, datetime, timedelta

from cubic_ingestion import cli, settings


def main() -> None:
    """Move the clock of this process, then be ``cubic``."""
    ahead = timedelta(seconds=float(sys.argv[1]))

    def now(_: settings.SystemClock) -> datetime:
        return datetime.now(UTC) + ahead

    settings.SystemClock.now = now
    sys.argv = ["cubic", *sys.argv[2:]]
    cli.main()


if __name__ == "__main__":
    main()
