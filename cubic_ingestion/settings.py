"""Settings: the only module that reads the environment (and a ``.env`` in the working directory)."""

from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cubic_ingestion.domain.feed import ApiKey
from cubic_ingestion.domain.limits import Limits
from cubic_ingestion.errors import SettingsError

Zone = Literal["incoming", "archive", "error", "springboard"]
ZONES: tuple[Zone, ...] = get_args(Zone)

Bucket = Literal[Zone, "warehouse"]
BUCKETS: tuple[Bucket, ...] = get_args(Bucket)
"""The zones that a load passes, and the warehouse."""

DMAP_KEY_SETTINGS = {ApiKey.PUBLIC: "CUBIC_DMAP_PUBLIC_API_KEY", ApiKey.CONTROLLED: "CUBIC_DMAP_CONTROLLED_API_KEY"}

_SQLITE = "sqlite:///"
_HERE = ("localhost", "127.0.0.1", "::1")


class Settings(BaseSettings):
    """All settings; each is read from the environment variable ``CUBIC_<NAME>``."""

    # A variable set to nothing is not set: an empty path would be the working directory.
    model_config = SettingsConfigDict(
        env_prefix="CUBIC_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Path = Field(Path(".cubic"), description="Folder of everything embedded: zones, database, catalog, Dagster.")
    incoming_url: str = Field("", description="Bucket where files land; default: `incoming` in the home.")
    archive_url: str = Field("", description="Bucket of ingested originals; default: `archive` in the home.")
    error_url: str = Field("", description="Bucket of rejected originals; default: `error` in the home.")
    springboard_url: str = Field("", description="Bucket of Parquet; default: `springboard` in the home.")
    warehouse_url: str = Field("", description="Bucket of products; default: `warehouse` in the home.")
    warehouse_grace_hours: int = Field(
        24, ge=1, description="Hours that a file stays in the warehouse after it left the last kept snapshot."
    )
    database_url: str = Field("", repr=False, description="Ledger (SQLAlchemy URL); default: SQLite in the home.")
    database_pool_size: int = Field(5, ge=1, description="Connections that one process has to PostgreSQL at most.")
    database_statement_timeout_seconds: int = Field(
        120, ge=1, description="PostgreSQL ends a statement that takes longer; not one of `cubic db upgrade`."
    )
    database_retry_seconds: int = Field(
        60, ge=1, description="How long PostgreSQL may be away in the midst of work before that fails."
    )
    catalog: Literal["duckdb", "glue"] = Field(
        "duckdb", description="Catalog: `duckdb`, a database file in the home; `glue`, the AWS Glue Data Catalog."
    )
    glue_database: str = Field(
        "cubic", pattern=r"^[a-z0-9_]{1,255}$", description="Database in the Glue Data Catalog; made if it is missing."
    )
    glue_landing_partitions: bool = Field(
        default=True, description="Whether tables that have a product get a Glue partition for each load."
    )
    s3_addressing_style: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Where a bucket's name stands in S3's URLs; `path` for most servers that are not AWS."
    )
    s3_kms_key_id: str = Field("", description="KMS key for new objects in S3; default: the bucket's own setting.")
    tables_dir: Path | None = Field(None, description="Folder with further table declarations (`*.toml`).")
    claim_timeout_seconds: int = Field(
        900, ge=1, description="A claim on loads expires so long after its last renewal."
    )
    settle_seconds: int = Field(
        2, ge=0, description="A file changed more recently than this may still be written to, and is looked at later."
    )
    sidecar_wait_seconds: int = Field(
        86_400, ge=0, description="How long an ODS file waits for its `.dfm` before it goes to Error."
    )
    snapshot_wait_seconds: int = Field(
        604_800, ge=0, description="How long an ODS file waits for a first snapshot before it goes to Error."
    )
    snapshot_settle_seconds: int = Field(
        21_600, ge=0, description="A new full load is shown at the latest so long after its last LOAD file arrived."
    )
    max_attempts: int = Field(
        5, ge=1, description="Tries for a load that fails for reasons that may pass, or ends its process."
    )
    max_loads_per_run: int = Field(10_000, ge=1, description="Loads that one table may bring into one run.")

    parallel_loads: int = Field(4, ge=1, description="Small loads that a run works on at the same time.")
    products_every_seconds: int = Field(
        60, ge=0, description="A product is brought up to date at most so often; less often if that is costly."
    )
    run_retention_days: int = Field(
        30, ge=1, description="Dagster runs that materialised nothing are deleted so long after their end."
    )
    history_retention_days: int = Field(
        400, ge=1, description="The ledger deletes superseded changes and the steps of loads after so long."
    )
    dmap_base_url: str = Field("", description="Address of the vendor's REST API; none: DMAP is not fetched.")
    dmap_public_api_key: SecretStr = Field(
        SecretStr(""), description="Key of the feeds below `/datasetpublicusersapi/`."
    )
    dmap_controlled_api_key: SecretStr = Field(
        SecretStr(""), description="Key of the feeds below `/datasetcontrolleduserapi/`."
    )
    dmap_fetch_at: time = Field(time(15), description="When DMAP is fetched each day, UTC.")
    dmap_parallel_downloads: int = Field(4, ge=1, le=32, description="Files of a feed that are fetched at once.")
    dmap_requests_per_second: float = Field(5.0, gt=0, description="Requests to the vendor's API, files included.")
    kinesis_stream: str = Field("", description="Kinesis stream that the Kafka batcher reads; none: it is off.")
    kinesis_lease_seconds: int = Field(
        60, ge=3, description="A batcher's lease on a shard expires so long after its last renewal."
    )
    kinesis_poll_seconds: float = Field(1.0, gt=0, description="Pause when no shard had anything new.")
    kafka_batch_records: int = Field(10_000, ge=1, description="Records after which a Kafka batch is cut.")
    kafka_batch_seconds: int = Field(
        3_600, ge=1, description="Time after its first record's arrival after which a Kafka batch is cut."
    )
    kafka_batch_bytes: int = Field(
        128 << 20, ge=1, le=512 << 20, description="Size above which a Kafka batch's file does not grow."
    )
    kafka_commit_seconds: int = Field(
        30, ge=1, description="How long what the batcher has read may wait to be put on record."
    )
    kafka_commit_bytes: int = Field(
        64 << 20, ge=1, description="How much of a shard the batcher may have read and not put on record."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Logs on standard error: for people, or one JSON object a line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="What is less important is not logged; `info` has a line for each load."
    )
    metrics_host: str = Field("127.0.0.1", description="Address that `cubic metrics` listens on.")
    metrics_port: int = Field(9464, ge=0, le=65_535, description="Port that `cubic metrics` listens on; 0: any free.")
    dagster_home: Path | None = Field(
        None,
        validation_alias="DAGSTER_HOME",
        description="Dagster's own variable `DAGSTER_HOME`: folder of another instance than the embedded one.",
    )

    @field_validator("home", "tables_dir", "dagster_home")
    @classmethod
    def _expanded_path(cls, path: Path | None) -> Path | None:
        return path and _expanded(path)

    @field_validator("incoming_url", "archive_url", "error_url", "springboard_url", "warehouse_url")
    @classmethod
    def _expanded_folder(cls, url: str) -> str:
        return str(_expanded(Path(url))) if url.startswith("~") else url

    @field_validator("database_url")
    @classmethod
    def _expanded_file(cls, url: str) -> str:
        path = url.removeprefix(_SQLITE)
        return f"{_SQLITE}{_expanded(Path(path))}" if path != url and path.startswith("~") else url

    @property
    def limits(self) -> Limits:
        """The settings that bound time and numbers, as the pipeline takes them."""
        return Limits(
            claim_timeout_seconds=self.claim_timeout_seconds,
            settle_seconds=self.settle_seconds,
            sidecar_wait_seconds=self.sidecar_wait_seconds,
            snapshot_wait_seconds=self.snapshot_wait_seconds,
            max_attempts=self.max_attempts,
            max_loads_per_run=self.max_loads_per_run,
            parallel_loads=self.parallel_loads,
            kinesis_lease_seconds=self.kinesis_lease_seconds,
            products_every_seconds=self.products_every_seconds,
            warehouse_grace_hours=self.warehouse_grace_hours,
            snapshot_settle_seconds=self.snapshot_settle_seconds,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no log may hold, whatever is wrong with the URL that has them."""
        userinfo = urlsplit(self.database_url).netloc.rpartition("@")[0]
        password = userinfo.partition(":")[2]
        return tuple({password, unquote(password), *self.dmap_api_keys.values()} - {""})

    @property
    def dmap_api_keys(self) -> Mapping[ApiKey, str]:
        """The keys of the vendor's API that are set."""
        keys = {
            ApiKey.PUBLIC: self.dmap_public_api_key.get_secret_value(),
            ApiKey.CONTROLLED: self.dmap_controlled_api_key.get_secret_value(),
        }
        return {name: key for name, key in keys.items() if key}

    def bucket_url(self, bucket: Bucket) -> str:
        """Return the URL of a bucket, or the folder in the home that stands for it."""
        return str(getattr(self, f"{bucket}_url")) or str(self.home.absolute() / bucket)

    @property
    def metadata_url(self) -> str:
        """The ledger's URL, or that of the SQLite file in the home."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'metadata.sqlite'}"

    @property
    def places(self) -> Mapping[str, str]:
        """Where everything is, by name, for people; the database's password is left out."""
        scheme, rest, where = self.metadata_url.partition("://")
        user, at, server = where.rpartition("@")
        # Everything behind a '?' may be a password too.
        database = scheme + rest + user.partition(":")[0] + at + server.partition("?")[0]
        buckets = {bucket: self.bucket_url(bucket) for bucket in BUCKETS}
        return {"home": str(self.home.absolute()), "database": database, **buckets}

    @property
    def is_embedded(self) -> bool:
        """Whether the ledger is the SQLite file in the home."""
        return not self.database_url


def _expanded(path: Path) -> Path:
    """Return a path with the person's folder for a leading ``~``, which no shell replaces in a ``.env``.

    Raises:
        ValueError: Nobody knows whose folder ``~name`` is.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        message = f"'{path.parts[0]}' is nobody's folder"
        raise ValueError(message) from error


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, UTC."""
        return datetime.now(UTC)


def read_settings() -> Settings:
    """Read the settings.

    Raises:
        SettingsError: A setting has a value that cannot be used; it names the variable.
    """
    try:
        settings = Settings()  # pyright: ignore[reportCallIssue] - every field has a default, given by position
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "CUBIC_" + str(first["loc"][0]).upper()
        raise SettingsError(name, f"{first['msg']}.", "See the settings table in README.md.") from error
    _check_buckets(settings)
    _check_catalog(settings)
    _check_dmap(settings)
    return settings


def _check_buckets(settings: Settings) -> None:
    """Refuse a bucket that is, or lies in, another: what is archived would be found in Incoming again."""
    urls = {bucket: settings.bucket_url(bucket).removeprefix("file://").rstrip("/") + "/" for bucket in BUCKETS}
    for bucket, url in urls.items():
        for other, other_url in urls.items():
            if bucket != other and url.startswith(other_url):
                problem = f"the {bucket} bucket is, or lies in, the {other} bucket."
                raise SettingsError(f"CUBIC_{bucket.upper()}_URL", problem, "Name another one.")


def _check_catalog(settings: Settings) -> None:
    """Refuse a DuckDB catalog of files in S3: its views would need an extension that has to be downloaded."""
    for name, url in (("Springboard", settings.springboard_url), ("the warehouse", settings.warehouse_url)):
        if settings.catalog == "duckdb" and url.startswith("s3://"):
            problem = f"The DuckDB catalog reads local folders alone, and {name} is in S3."
            raise SettingsError("CUBIC_CATALOG", problem, "Set CUBIC_CATALOG=glue.")


def _check_dmap(settings: Settings) -> None:
    """Refuse an address that a key must not be sent to, and a key that is no header."""
    url = urlsplit(settings.dmap_base_url)
    if settings.dmap_base_url and not (url.scheme == "https" or (url.scheme == "http" and url.hostname in _HERE)):
        problem = "It is no https address; another may be read by anybody on the way."
        raise SettingsError("CUBIC_DMAP_BASE_URL", problem, "Give the vendor's, 'https://…'.")
    if url.username or url.query:
        raise SettingsError("CUBIC_DMAP_BASE_URL", "It has more than an address.", "Give the keys in their settings.")
    for name, key in settings.dmap_api_keys.items():
        if not (key.isascii() and key.isprintable() and key == key.strip()):
            raise SettingsError(DMAP_KEY_SETTINGS[name], "It is no key: it has spaces, or more.", "Copy it again.")
