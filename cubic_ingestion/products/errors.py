"""What keeps a product from being brought up to date. Nothing is lost by any of it."""

from cubic_ingestion.errors import FatalError, RetriableError


class LeaseLostError(RetriableError):
    """Somebody else has taken a product, since its lease was not renewed in time."""

    def __init__(self, product: str) -> None:
        super().__init__(
            f"The lease on product '{product}' ended before it was renewed, and somebody else may have it.",
            "Nothing is lost: whoever has it goes on.",
        )


class HeldError(RetriableError):
    """Somebody else works on a product."""

    def __init__(self, product: str) -> None:
        super().__init__(f"Product '{product}' is being worked on by somebody else.", "Try again when that has ended.")


class LoadChangedError(RetriableError):
    """A load's Parquet file is not the one on record, or cannot be read."""

    def __init__(self, load_id: int, location: str) -> None:
        self.load_id = load_id
        super().__init__(
            f"The file '{location}' of load {load_id} is not the one on record, or cannot be read.",
            "It is being written again, or was changed by hand: 'cubic audit' tells. Other loads are not kept waiting.",
        )


class OutOfStepError(FatalError):
    """The ledger and the warehouse do not belong together: one of them is of another time."""

    def __init__(self, product: str, table: str, recorded: int, found: int) -> None:
        super().__init__(
            f"Product '{product}' is at merge {recorded} on record, and at {found} in the warehouse. One of them was "
            f"restored, or removed. Run 'cubic products rebuild {table}'."
        )


class LogMovedOnError(RetriableError):
    """A product is merged so fast that no state of it could be read as a whole."""

    def __init__(self, product: str) -> None:
        super().__init__(
            f"'{product}' was merged again and again while it was read.", "It is read again after a pause."
        )


class KeyOrderError(FatalError):
    """Rows of ``__current`` are not in key order, or two have the same key. Nothing of it is committed."""

    def __init__(self, product: str) -> None:
        super().__init__(
            f"Rows of product '{product}' are not in the order of its key, or a key is in two rows, so nothing was "
            "committed. 'cubic audit --fold' compares all rows; 'cubic products rebuild' folds the table anew."
        )


class NoKeyError(RetriableError):
    """A ``__current`` has rows, and no key of the snapshot that it is to show is known."""

    def __init__(self, product: str, table: str, problem: str | None) -> None:
        super().__init__(
            f"Product '{product}' stays as it is: {problem or 'the files of its snapshot name no primary key'}",
            f"Declare the 'key' of '{table}', or have its '.dfm' files name it; its changes wait until then.",
        )


class LogBehindError(RetriableError):
    """A column of a table is text since a load that its ``__changes`` has not taken in yet."""

    def __init__(self, product: str) -> None:
        super().__init__(
            f"'{product}' has not taken in a load since which a column is text.", "It does so first, by itself."
        )
