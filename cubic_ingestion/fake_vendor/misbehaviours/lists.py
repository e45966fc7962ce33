"""What goes wrong with lists alone."""

import codecs
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from cubic_ingestion.fake_vendor.answers import Answer
from cubic_ingestion.fake_vendor.armed import Misbehaviour


def unsuccessful() -> Misbehaviour:
    """Answer 200 and ``"success": false``, the results all the same."""
    return lambda honest: _edited(honest, lambda told: {**told, "success": False})


def without_results() -> Misbehaviour:
    """Answer 200 without the results."""
    return lambda honest: _edited(honest, lambda told: {"success": told["success"]})


def empty_list() -> Misbehaviour:
    """Answer that there is nothing."""
    return lambda honest: _edited(honest, lambda told: {**told, "results": []})


def marked() -> Misbehaviour:
    """Answer with a byte order mark before the list, as .NET's writer of UTF-8 does."""
    return lambda honest: honest.with_body(codecs.BOM_UTF8 + honest.body) if honest.is_good else honest


def spoiled(
    dataset_id: str | None = None, *, without: Sequence[str] = (), to: Mapping[str, object] = MappingProxyType({})
) -> Misbehaviour:
    """Make one item of a list invalid, the others stay.

    Args:
        dataset_id: Which; the first of the answer if not given.
        without: Keys it loses.
        to: Keys that are replaced, and with what.
    """

    def spoil(item: dict[str, object]) -> object:
        return {key: value for key, value in {**item, **to}.items() if key not in without}

    return _with_an_item(dataset_id, spoil)


def not_an_item(value: object = None, dataset_id: str | None = None) -> Misbehaviour:
    """Put something else in the place of one item of a list."""
    return _with_an_item(dataset_id, lambda _: value)


def _with_an_item(dataset_id: str | None, change: Callable[[dict[str, object]], object]) -> Misbehaviour:
    def edit(told: dict[str, Any]) -> dict[str, Any]:
        items: list[dict[str, object]] = told["results"]
        chosen = next((n for n, item in enumerate(items) if dataset_id in {None, item["dataset_id"]}), None)
        return {**told, "results": [change(item) if n == chosen else item for n, item in enumerate(items)]}

    return lambda honest: _edited(honest, edit)


def _edited(honest: Answer, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Answer:
    return honest.with_body(json.dumps(edit(json.loads(honest.body))).encode()) if honest.is_good else honest


INVALID_ITEMS: Mapping[str, Misbehaviour] = MappingProxyType(
    {
        **{f"without_{key}": spoiled(without=[key]) for key in ("id", "dataset_id", "url", "last_updated")},
        "without_dates": spoiled(without=["start_date", "end_date"]),
        "bad_date": spoiled(to={"start_date": "2022-02-30"}),
        "bad_moment": spoiled(to={"last_updated": "yesterday"}),
        "other_scheme": spoiled(to={"url": "ftp://127.0.0.1/files/x.csv.gz"}),
        "local_file": spoiled(to={"url": "file:///etc/passwd"}),
        "http_elsewhere": spoiled(to={"url": "http://vendor.invalid/files/x.csv.gz"}),
        "no_path": spoiled(to={"url": "https://vendor.invalid"}),
        "climbing_name": spoiled(to={"dataset_id": "../../ods_qlik/EDW.SAMPLE/LOAD001"}),
        "empty_name": spoiled(to={"dataset_id": ""}),
        "number_for_name": spoiled(to={"dataset_id": 20220517}),
        "not_an_object": not_an_item("sample_20220517"),
        "null": not_an_item(None),
    }
)
"""One invalid item among good ones, by what is wrong with it: for parametrized tests."""
