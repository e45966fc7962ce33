"""How S3 is spoken to."""

from dataclasses import dataclass
from typing import Literal

AddressingStyle = Literal["auto", "path", "virtual"]


@dataclass(frozen=True, slots=True)
class S3Options:
    """How S3 is spoken to; credentials, region and endpoint come from AWS's own chain."""

    addressing_style: AddressingStyle = "auto"
    """Where a bucket's name stands in a URL; ``path`` for most servers that only speak as S3 does."""
    kms_key_id: str = ""
    """Key that new objects are encrypted with; the bucket's own setting if empty."""
    connections: int = 32
    """Connections that the process keeps; one that is needed beside them is closed after its request."""
