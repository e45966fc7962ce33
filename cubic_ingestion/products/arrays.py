"""Arrow columns as NumPy arrays. There is one element per row, whatever chunks the column has."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Flags: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.int64]
Values: TypeAlias = Any
"""An Arrow array or chunked array of any type. The stubs of pyarrow tell the two apart where pyarrow does not."""

NOWHERE = -1
"""The position of a value that is NULL."""


def as_flags(values: Values) -> Flags:
    """Return booleans. NULL is false."""
    return np.asarray(pc.fill_null(values, pa.scalar(False)), dtype=bool)  # noqa: FBT003 - a value, not an option


def is_one_of(values: Values, *candidates: str) -> Flags:
    """Say of each text whether it is one of some texts."""
    return as_flags(pc.is_in(values, value_set=pa.array(candidates, pa.string())))


def indices(positions: Positions) -> Values:
    """Return positions as Arrow's ``take`` expects them: ``NOWHERE`` as NULL."""
    return pa.array(positions, pa.int64(), mask=positions == NOWHERE)
