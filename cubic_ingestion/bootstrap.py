"""Composition root: the only module that constructs adapters."""

import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

from filelock import FileLock
from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

from cubic_ingestion.catalog import open_catalog
from cubic_ingestion.domain.feed import ApiKey
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import (
    DeclarationError,
    HomeMissingError,
    SchemaRevisionError,
    SettingsError,
    UnknownRevisionError,
)
from cubic_ingestion.ledger.engine import Engine, open_engine
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.postgres import PostgresLimits
from cubic_ingestion.ledger.server_clock import shared_clock
from cubic_ingestion.ledger.upgrade import current_revision, downgrade, require_newest, revisions, upgrade
from cubic_ingestion.observability.logs import set_up_logs
from cubic_ingestion.pipeline.dmap import Fetcher, FetchLimits
from cubic_ingestion.pipeline.dmap.retrying import Patience
from cubic_ingestion.pipeline.incoming import require_incoming
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.kafka import Batcher, BatcherLimits
from cubic_ingestion.pipeline.kafka.cutting import CutLimits
from cubic_ingestion.pipeline.process import this_process
from cubic_ingestion.ports import ObjectStore, Stores, Warehouse
from cubic_ingestion.settings import DMAP_KEY_SETTINGS, ZONES, Bucket, Settings, SystemClock, read_settings
from cubic_ingestion.storage import S3Options, open_store
from cubic_ingestion.tables import SHIPPED, check_tables, load_tables
from cubic_ingestion.warehouse import LazyWarehouse, open_in_database, open_in_glue


def build(settings: Settings) -> Platform:
    """Wire the adapters that the settings name, on one engine; the home is made unless it is there.

    The caller closes the platform.

    Raises:
        DatabaseUnavailableError: The ledger's database does not answer. It is asked once.
        FatalError: A setting or a declaration is wrong, or the ledger needs an upgrade.
    """
    return _build(settings, makes_home=True)


def build_existing(settings: Settings) -> Platform:
    """Wire the adapters for a command that only looks at what there is. The caller closes the platform.

    Raises:
        HomeMissingError: There is no home. None is made.
        DatabaseUnavailableError: As ``build`` raises it.
        FatalError: As ``build`` raises it.
    """
    require_home(settings)
    return _build(settings, makes_home=False)


class SharedPlatform:
    """The one platform of a process that lives long: built by the environment on first use, then shared by all threads.

    Dagster asks for its resources at every tick and run, and AWS Lambda calls the same process again and again. Neither
    may open connections each time.
    """

    def __init__(self) -> None:
        self._one_at_a_time = Lock()
        self._platform: Platform | None = None

    def get(self) -> Platform:
        """Return the platform.

        Raises:
            DatabaseUnavailableError: As ``build`` raises it, until it has succeeded once.
            FatalError: As ``build`` raises it, until it has succeeded once.
        """
        with self._one_at_a_time:
            if self._platform is None:
                self._platform = build(read_settings())
            return self._platform

    def close(self) -> None:
        """Close the platform; the next ``get`` builds another."""
        with self._one_at_a_time:
            if self._platform is not None:
                self._platform.close()
                self._platform = None


def _build(settings: Settings, *, makes_home: bool) -> Platform:
    with ExitStack() as on_failure:
        engine = on_failure.enter_context(open_engine(settings.metadata_url, postgres_limits(settings)))
        if makes_home:
            _make_home(settings, engine)
        platform = _wired(settings, engine)
        on_failure.pop_all()
    return platform


def _wired(settings: Settings, engine: Engine) -> Platform:
    set_up_logs(settings.log_format, settings.log_level, settings.secrets)
    _prepare(settings, engine)
    # Told through logging, like all else; structlog's own default would write them among what a command prints.
    set_on_retry_hooks([LoggingOnRetryHook])
    clock = shared_clock(engine, SystemClock(), retry_seconds=settings.database_retry_seconds)
    return Platform(
        tables=load_tables(settings.tables_dir),
        ledger=Ledger(engine, clock.now, retry_seconds=settings.database_retry_seconds),
        stores=_open_stores(settings),
        warehouse=_open_warehouse(settings, engine),
        catalog=open_catalog(
            settings.catalog,
            home=settings.home.absolute(),
            glue_database=settings.glue_database,
            glue_landing_partitions=settings.glue_landing_partitions,
        ),
        clock=clock,
        file_clock=SystemClock(),
        limits=settings.limits,
    )


_PATIENCE = Patience(attempts=4, first_pause_seconds=2.0)
"""How often the vendor's API is asked."""
_LEAST_CONNECTIONS = 32
_CONNECTIONS_OF_A_LOAD = 2
"""A file is read while what it becomes is written."""


def _open_stores(settings: Settings) -> Stores:
    return Stores(**{zone: _open_bucket(settings, zone) for zone in ZONES})


def _open_bucket(settings: Settings, bucket: Bucket) -> ObjectStore:
    connections = max(_LEAST_CONNECTIONS, settings.parallel_loads * _CONNECTIONS_OF_A_LOAD)
    s3 = S3Options(settings.s3_addressing_style, settings.s3_kms_key_id, connections)
    return open_store(settings.bucket_url(bucket), setting=f"CUBIC_{bucket.upper()}_URL", s3=s3)


def _open_warehouse(settings: Settings, engine: Engine) -> Warehouse:
    def open_it(bucket: ObjectStore) -> Warehouse:
        if settings.catalog != "glue":
            return open_in_database(bucket, engine)
        from cubic_ingestion.catalog.glue_errors import translated  # noqa: PLC0415 - boto3 is heavy

        return open_in_glue(bucket, settings.glue_database, partial(translated, settings.glue_database))

    return LazyWarehouse(_open_bucket(settings, "warehouse"), open_it)


def build_batcher(settings: Settings, platform: Platform, tell: Callable[[str], object] = lambda _: None) -> Batcher:
    """Wire the Kafka batcher.

    Args:
        settings: Those that the platform was built by.
        platform: Whose ledger and stores it works on.
        tell: Told what goes wrong and will be tried again.

    Raises:
        SettingsError: No Kinesis stream is named.
    """
    from cubic_ingestion.fetchers.kinesis_record_source import KinesisRecordSource  # noqa: PLC0415 - boto3 is heavy

    if not settings.kinesis_stream:
        raise SettingsError("CUBIC_KINESIS_STREAM", "It is not set.", "Name the Kinesis stream to read.")
    require_incoming(platform.stores.incoming)
    return Batcher(
        source=KinesisRecordSource(settings.kinesis_stream),
        ledger=platform.ledger,
        stores=platform.stores,
        tables=platform.tables,
        clock=platform.clock,
        limits=batcher_limits(settings),
        owner=_owner(),
        tell=tell,
    )


def batcher_limits(settings: Settings) -> BatcherLimits:
    """Return what the settings let the Kafka batcher take."""
    return BatcherLimits(
        CutLimits(settings.kafka_batch_records, settings.kafka_batch_seconds, settings.kafka_batch_bytes),
        settings.kinesis_lease_seconds,
        settings.kinesis_poll_seconds,
        settings.kafka_commit_seconds,
        settings.kafka_commit_bytes,
    )


@contextmanager
def open_fetcher(settings: Settings, platform: Platform) -> Generator[Fetcher]:
    """Wire the DMAP fetcher on a platform, and close its own connections at the end.

    Raises:
        SettingsError: The vendor's address is not set, or neither of its keys is.
    """
    from cubic_ingestion.fetchers.http_feed_client import HttpFeedClient  # noqa: PLC0415 - httpx is heavy

    if missing := missing_for_dmap(settings):
        raise missing
    require_incoming(platform.stores.incoming)
    client = HttpFeedClient(
        settings.dmap_base_url, settings.dmap_api_keys, DMAP_KEY_SETTINGS, settings.dmap_requests_per_second
    )
    with closing(client):
        yield Fetcher(
            client=client,
            ledger=platform.ledger,
            incoming=platform.stores.incoming,
            clock=platform.clock,
            limits=FetchLimits(settings.dmap_parallel_downloads, settings.claim_timeout_seconds, _PATIENCE),
            owner=_owner(),
        )


def missing_for_dmap(settings: Settings) -> SettingsError | None:
    """Say what DMAP cannot be fetched without."""
    if not settings.dmap_base_url:
        fix = "Give the address of the vendor's API, or of 'cubic demo --dmap'."
        return SettingsError("CUBIC_DMAP_BASE_URL", "It is not set.", fix)
    if not settings.dmap_api_keys:
        return missing_key(ApiKey.PUBLIC)
    return None


def missing_key(key: ApiKey) -> SettingsError:
    """Word that a key is not set."""
    return SettingsError(DMAP_KEY_SETTINGS[key], "It is not set.", f"Give the key of the feeds below '{key.path}'.")


def _owner() -> str:
    return f"{secrets.token_hex(4)}/{this_process()}"


def logs_from_environment() -> None:
    """Have everything that is logged in this process written as the settings say."""
    settings = read_settings()
    set_up_logs(settings.log_format, settings.log_level, settings.secrets)


def _make_home(settings: Settings, engine: Engine) -> None:
    """Make the folder of everything embedded unless it is there, and Incoming in it if nothing was ever ingested.

    An Incoming that was used before, or that its setting names, is never made: what lands in it would land elsewhere.

    Raises:
        SettingsError: It can be no folder.
    """
    incoming = Path(settings.bucket_url("incoming"))
    makes_incoming = not (settings.incoming_url or incoming.exists() or _was_used(settings, engine))
    folder = incoming if makes_incoming else settings.home
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"'{settings.home}' cannot be made ({error.strerror})."
        raise SettingsError("CUBIC_HOME", problem, "Name a folder that can be written to.") from error


def _was_used(settings: Settings, engine: Engine) -> bool:
    """Say whether somebody has scanned an Incoming, or has loads, in the ledger that the settings name."""
    if settings.is_embedded and not (settings.home / "metadata.sqlite").exists():
        return False
    try:
        require_newest(engine)
    except SchemaRevisionError:
        return current_revision(engine) is not None
    ledger = Ledger(engine, retry_seconds=settings.database_retry_seconds)
    return bool(ledger.intake.scans() or ledger.queries.newest_id())


def require_home(settings: Settings) -> None:
    """Make sure that there is something to look at: a ledger elsewhere, or a home with one or with files.

    Raises:
        HomeMissingError: There is not.
    """
    parts = (settings.home / "metadata.sqlite", settings.home / "incoming")
    if settings.is_embedded and not any(part.exists() for part in parts):
        raise HomeMissingError(str(settings.home.absolute()))


def postgres_limits(settings: Settings) -> PostgresLimits:
    """Return what the settings let a process take of a PostgreSQL server."""
    return PostgresLimits(settings.database_pool_size, settings.database_statement_timeout_seconds)


def _prepare(settings: Settings, engine: Engine) -> None:
    """Check the ledger's schema; an empty embedded one is made on first use."""
    if settings.is_embedded and current_revision(engine) is None:
        _upgrade(settings, engine)
    require_newest(engine)


def upgrade_database(settings: Settings) -> str | None:
    """Bring the ledger to the newest schema, and return its revision; two processes at once take turns."""
    with open_engine(settings.metadata_url, postgres_limits(settings)) as engine:
        _make_home(settings, engine)
        _upgrade(settings, engine)
        return current_revision(engine)


def downgrade_database(settings: Settings, revision: str) -> str | None:
    """Undo migrations of the ledger down to a revision, and return the one that it is at then; makes no home.

    Raises:
        HomeMissingError: There is no home.
        SchemaRevisionError: The ledger was never migrated, or its schema is newer than this code.
        UnknownRevisionError: It cannot go back to that revision. Nothing was changed.
    """
    require_home(settings)
    with open_engine(settings.metadata_url, postgres_limits(settings)) as engine, _migrating(settings):
        known = revisions(engine)
        if revision not in known:
            raise UnknownRevisionError(revision, known)
        downgrade(engine, revision)
        return current_revision(engine)


def _upgrade(settings: Settings, engine: Engine) -> None:
    with _migrating(settings):
        upgrade(engine)


def _migrating(settings: Settings) -> FileLock:
    return FileLock(settings.home.absolute() / "upgrade.lock")


def declared_tables() -> Mapping[str, Table]:
    """Load the declarations, the project's own and those of the settings' folder."""
    return load_tables(read_settings().tables_dir)


def check_declarations() -> list[DeclarationError]:
    """Return every mistake in the declarations, the project's own and those of the settings' folder."""
    further = read_settings().tables_dir
    return check_tables([SHIPPED, *([further] if further else [])])
