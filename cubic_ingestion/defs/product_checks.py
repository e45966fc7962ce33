"""Checks of products: what each asks, and what is said of a product after a merge."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from cubic_ingestion.defs.inert_text import inert
from cubic_ingestion.defs.translator import product_key
from cubic_ingestion.domain.product import Product, ProductKind
from cubic_ingestion.pipeline.audit import FindingCode
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.products.checks import completeness, current_facts
from cubic_ingestion.products.proof import FoldCheck

COMPLETE, KEY_UNIQUE, CHANGES_KNOWN, NO_ORPHANS = "complete", "key_unique", "changes_known", "no_orphans"
FOLD = "fold"
MOST_PROVED_ROWS = 100_000
"""A larger product is not folded again unless somebody asks for it."""
_SHOWN = 10
_DESCRIPTIONS = {
    COMPLETE: "Red if the product holds other loads than it is made of, or other rows of them, apart from changes that "
    "are on their way to it; `__current` also if a LOAD file of the snapshot that it shows is in Error.",
    KEY_UNIQUE: "Yellow if a key is in the LOAD files more than once: the later file and row count. In the product "
    "each key is once: nothing else is ever committed.",
    CHANGES_KNOWN: "Red if the changes of a load are not applied, because one of them has an unknown operation or no "
    "sequence.",
    NO_ORPHANS: "Yellow if the last merge met updates whose key has no row. They are not applied.",
}
_FOLD_DESCRIPTION = (
    "Folds the product again by other means, and compares all rows. Run it whenever you like; a run of update_products "
    "does it for one of the products that it changed, if that is small."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says."""

    name: str
    passed: bool
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def result(self) -> dict[str, Any]:
        """As Dagster's results and evaluations take it."""
        return {"passed": self.passed, "metadata": self.metadata, "severity": self.severity}


def check_specs(product: Product, key: dg.AssetKey) -> Sequence[dg.AssetCheckSpec]:
    """Name the checks of a product."""
    names = _DESCRIPTIONS if product.kind is ProductKind.CURRENT else (COMPLETE,)
    return [dg.AssetCheckSpec(name, asset=key, description=_DESCRIPTIONS[name]) for name in names]


def judge(platform: Platform, product: Product, *, proves: bool) -> Iterator[Verdict]:
    """Yield what the checks of a product say.

    Args:
        platform: The platform.
        product: The product.
        proves: Whether to fold a small ``__current`` again by other means.
    """
    found = completeness(platform, product)
    counts = {"n_waiting": found.n_waiting, "n_lacking": found.n_lacking, "n_left_over": found.n_left_over}
    if product.kind is not ProductKind.CURRENT:
        yield Verdict(COMPLETE, found.is_complete, counts)
        return
    facts = current_facts(platform, product)
    lacking = {"lacking": inert(facts.lacking)} if facts.lacking else {}
    yield Verdict(COMPLETE, found.is_complete and not facts.lacking, {**counts, **lacking})
    duplicates = {"key": ", ".join(facts.key), "n_duplicate_keys": facts.n_duplicate_keys}
    yield Verdict(KEY_UNIQUE, facts.n_duplicate_keys == 0, duplicates, dg.AssetCheckSeverity.WARN)
    refused = {f"load {load_id}": inert(why) for load_id, why in list(facts.refused.items())[:_SHOWN]}
    yield Verdict(CHANGES_KNOWN, not facts.refused, {"n_loads": len(facts.refused), **refused})
    yield Verdict(NO_ORPHANS, facts.n_orphans == 0, {"n_orphans": facts.n_orphans}, dg.AssetCheckSeverity.WARN)
    if proves and _n_rows(platform, product) <= MOST_PROVED_ROWS:
        yield prove(platform, product)


def prove(platform: Platform, product: Product) -> Verdict:
    """Fold a ``__current`` again by other means, and say whether all rows are the same."""
    check = FoldCheck(platform)
    finding = check.look(product, lambda _what, _n: None)
    if finding is None:
        return Verdict(FOLD, passed=True, metadata={"n_rows": check.n_rows})
    is_known = finding.code is FindingCode.FOLD_MISMATCH
    severity = dg.AssetCheckSeverity.ERROR if is_known else dg.AssetCheckSeverity.WARN
    return Verdict(FOLD, passed=False, metadata={"problem": inert(finding.problem)}, severity=severity)


def build_fold_check(products: Sequence[Product]) -> dg.AssetChecksDefinition:
    """Make the check that folds each ``__current`` again."""
    by_key = {product_key(product): product for product in products if product.kind is ProductKind.CURRENT}
    specs = [dg.AssetCheckSpec(FOLD, asset=key, description=_FOLD_DESCRIPTION) for key in by_key]

    @dg.multi_asset_check(name="fold_again", specs=specs, can_subset=True)
    def fold_again(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        for check_key in sorted(context.selected_asset_check_keys):
            verdict = prove(platform, by_key[check_key.asset_key])
            yield dg.AssetCheckResult(check_name=FOLD, asset_key=check_key.asset_key, **verdict.result)

    return fold_again


def _n_rows(platform: Platform, product: Product) -> int:
    """Count the rows of a product and of the ``__changes`` that it is made of."""
    states = platform.ledger.products.states([product.source.name, product.source.name + "__ct"])
    return sum(state.n_rows for state in states)
