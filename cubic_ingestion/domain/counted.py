"""Counted: a number and the noun that agrees with it, in every text for people."""


def counted(n: int, one: str, several: str = "") -> str:
    """Return a number with its noun.

    Args:
        n: How many there are.
        one: The words that follow if it is one.
        several: The words that follow any other number; without it, an "s" is added.

    >>> counted(1, "load"), counted(2_000, "load"), counted(0, "load was", "loads were")
    ('1 load', '2,000 loads', '0 loads were')
    """
    return f"{n:,} {one if n == 1 else several or f'{one}s'}"
