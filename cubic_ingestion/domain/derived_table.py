"""A derived table: what an asset of a person's own writes to Springboard, and where its files live."""

from dataclasses import dataclass
from urllib.parse import quote

from cubic_ingestion.domain.layout import PART_NAME
from cubic_ingestion.domain.table import Column

PARTITION_COLUMN = "partition_key"
"""Folder of a partition, and the column that the catalog makes of it."""

_OWN_FOLDERS = ("cubic", "raw", "quarantine")
"""Folders at the top of Springboard that hold Cubic's tables."""
_SAFE = " !\"#$&'()*+,-.:;<=>?@[]^_`{|}~"
"""Everything printable but ``/``, which would begin another folder, and ``%``, which marks what is encoded."""


@dataclass(frozen=True, slots=True)
class DerivedTable:
    """The Parquet of one asset: one file, or one file per partition."""

    path: tuple[str, ...]
    """The asset's key."""
    is_partitioned: bool = False
    description: str = ""
    columns: tuple[Column, ...] = ()
    """No descriptions of columns: the asset's code has none."""

    @property
    def name(self) -> str:
        """Name of its view in the catalog.

        >>> DerivedTable(("reports", "rides")).name
        'reports__rides'
        """
        return "__".join(self.path)

    @property
    def catalog_name(self) -> str:
        """As ``name``."""
        return self.name

    @property
    def prefix(self) -> str:
        """Prefix of all its files in Springboard; ends with ``/``."""
        return "".join(f"{folder}/" for folder in self.path)

    @property
    def partition_names(self) -> tuple[str, ...]:
        """Names of the folders that its files lie in."""
        return (PARTITION_COLUMN,) if self.is_partitioned else ()

    @property
    def is_in_own_folder(self) -> bool:
        """Whether it lies apart from Cubic's tables."""
        return self.path[0] not in _OWN_FOLDERS

    @staticmethod
    def is_key(key: str) -> bool:
        """Say whether a key of Springboard is one that some derived table has for a file.

        >>> DerivedTable.is_key("reports/rides/partition_key=2022-03-04/part-0.parquet")
        True
        >>> DerivedTable.is_key("reports/rides.parquet"), DerivedTable.is_key("raw/rides/part-0.parquet")
        (False, False)
        """
        *folders, name = key.split("/")
        if folders and folders[-1].startswith(f"{PARTITION_COLUMN}="):
            folders.pop()
        is_table = bool(folders) and all("=" not in folder for folder in folders)
        return name == PART_NAME and is_table and DerivedTable(tuple(folders)).is_in_own_folder

    def folder(self, partition_key: str | None) -> str:
        """Prefix of the file of a partition; None for a table without partitions.

        >>> DerivedTable(("rides",), is_partitioned=True).folder("2022-03-04|north/east")
        'rides/partition_key=2022-03-04|north%2Feast/'
        """
        if partition_key is None:
            return self.prefix
        return f"{self.prefix}{PARTITION_COLUMN}={quote(partition_key, safe=_SAFE)}/"

    def key(self, partition_key: str | None) -> str:
        """Key of the file of a partition; None for a table without partitions."""
        return self.folder(partition_key) + PART_NAME
