"""Products that do not show all that was delivered: changes that nobody can read, and full loads with a hole."""

from collections.abc import Iterator, Mapping

from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.observability.problems import Problem, ProblemCode


def products_wrong(tables: Mapping[str, Table], ledger: Ledger) -> Iterator[Problem]:
    """Yield one problem per product and kind. Cheap: no query reads what is archived.

    Args:
        tables: The declared tables by name.
        ledger: Reads the ledger.
    """
    products = products_of(tables.values())
    for loads in ledger.product_trouble.refused():
        if loads.table in products:
            more = f" So it is with {counted(loads.n_loads - 1, 'more load')}." if loads.n_loads > 1 else ""
            yield Problem(
                ProblemCode.UNKNOWN_CHANGE,
                loads.table,
                None,
                f"{loads.product} leaves out the changes of load {loads.load_id} ('{loads.key}'): {loads.why}.{more}",
                f"'cubic loads show {loads.load_id}'. Ask the vendor what it means, and for the file once more: its "
                "changes are applied when it is here.",
            )
    for table, product, generation in ledger.product_trouble.rejected():
        if table in products:
            yield Problem(
                ProblemCode.INCOMPLETE_SNAPSHOT,
                table,
                None,
                f"{product} lacks rows: {generation.lacks}",
                "Correct the reason and run 'cubic loads retry', or ask the vendor for the file once more. "
                f"'cubic products switch {table} --to SNAPSHOT' shows another snapshot meanwhile.",
            )
