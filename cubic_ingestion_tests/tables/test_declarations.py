"""Declarations: what an entry becomes, and how a mistake in one is named."""

import re
from pathlib import Path

import pytest

from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.table import Column, StreamName, Table, Updates
from cubic_ingestion.errors import DeclarationError, FatalError
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.tables import check_tables, load_tables

SOUND = """\
[[table]]
stream = "dmap"
name = "cubic__dmap__agg_sample"
prefix = "cubic/dmap/agg_sample/"

[table.columns]
sample_id = "int64"
sample_name = { type = "string", description = "Its name." }
"""
ODS = """\
[[table]]
stream = "ods"
name = "cubic__ods_qlik__edw_x"
prefix = "cubic/ods_qlik/EDW.X/"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for further declarations."""
    return tmp_path


def declare(folder: Path, text: str, name: str = "tables.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(folder: Path) -> list[str]:
    return [str(error).replace(f"{folder}/", "") for error in check_tables([folder])]


def test_the_tables_that_come_with_the_project_are_sound() -> None:
    assert check_tables() == []


def test_the_production_tables_and_the_samples_come_with_the_project() -> None:
    tables = load_tables().values()
    ods = [table for table in tables if table.stream is StreamName.ODS]

    assert len([table for table in ods if table.base is None]) == 213
    assert len([table for table in ods if table.base]) == 213
    assert len([table for table in tables if table.stream is StreamName.DMAP]) == 14 + 1
    assert len([table for table in tables if table.stream is StreamName.KAFKA]) == 1
    assert all(table.is_active and not table.is_raw for table in tables)


@pytest.mark.parametrize(
    ("name", "n_columns"),
    [
        ("citation", 22),
        ("device_event", 72),
        ("sale_transaction", 169),
        ("use_transaction_location", 147),
        ("use_transaction_longitudinal", 145),
        ("agg_average_boardings_by_day_type_month", 4),
        ("agg_hourly_entry_exit_count", 7),
    ],
)
def test_a_dmap_table_has_the_columns_of_its_files(name: str, n_columns: int) -> None:
    table = load_tables()[f"cubic__dmap__{name}"]

    assert len(arrow_schema(table.columns)) == n_columns


def test_the_kafka_sample_has_a_nested_record() -> None:
    assert "json" in {column.type for column in load_tables()["cubic__kafka__sample"].columns}


def test_tables_come_in_the_order_of_their_names() -> None:
    assert list(load_tables()) == sorted(load_tables())


def test_an_entry_becomes_a_table(folder: Path) -> None:
    text = SOUND.replace("agg_sample", "more").replace("[table.columns]", 'description = "More."\n\n[table.columns]')
    declare(folder, text)

    assert load_tables(folder)["cubic__dmap__more"] == Table(
        "cubic__dmap__more",
        StreamName.DMAP,
        "cubic/dmap/more/",
        (Column("sample_id", "int64"), Column("sample_name", "string", "Its name.")),
        description="More.",
    )


def test_an_ods_entry_becomes_a_base_table_and_its_change_table(folder: Path) -> None:
    declare(folder, ODS + "is_active = false\nis_raw = true\n")

    tables = load_tables(folder)

    base, change = tables["cubic__ods_qlik__edw_x"], tables["cubic__ods_qlik__edw_x__ct"]
    assert (base.prefix, base.base, base.is_active, base.is_raw) == ("cubic/ods_qlik/EDW.X/", None, False, True)
    assert (change.prefix, change.base) == ("cubic/ods_qlik/EDW.X__ct/", base.name)
    assert (change.is_active, change.is_raw) == (False, True)


def test_both_tables_of_an_ods_entry_have_its_key_and_its_updates(folder: Path) -> None:
    declare(folder, ODS + 'key = ["sample_id", "unit no"]\nupdates = "full_image"\n')

    for name in ("cubic__ods_qlik__edw_x", "cubic__ods_qlik__edw_x__ct"):
        table = load_tables(folder)[name]
        assert (table.key, table.updates) == (("sample_id", "unit no"), Updates.FULL_IMAGE)


def test_a_table_that_says_nothing_of_it_has_the_key_of_its_dfm_and_all_products() -> None:
    table = load_tables()["cubic__ods_qlik__edw_sample"]
    assert (table.key, table.updates, table.products) == ((), Updates.SUPPLIED_VALUES, None)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("[]", ()),
        ('["changes"]', ("changes",)),
        ('["current"]', ("changes", "current")),
        ('["history"]', ("changes", "history")),
        ('["history", "current", "changes"]', ("changes", "current", "history")),
    ],
)
def test_a_product_brings_those_that_it_is_made_of(folder: Path, declared: str, expected: tuple[str, ...]) -> None:
    declare(folder, ODS + f"products = {declared}\n")

    tables = load_tables(folder)

    base, change = tables["cubic__ods_qlik__edw_x"], tables["cubic__ods_qlik__edw_x__ct"]
    assert base.products == change.products == expected
    assert {product.kind.value for product in products_of([base, change]).values()} == set(expected) - {"history"}


def test_a_kafka_table_may_do_without_its_product(folder: Path) -> None:
    kafka = SOUND.replace("dmap", "kafka").replace("agg_sample", "more")
    declare(folder, kafka.replace("\n[table.columns]", "products = []\n[table.columns]"))
    assert products_of([load_tables(folder)["cubic__kafka__more"]]) == {}


@pytest.mark.parametrize(
    ("line", "problem", "fix"),
    [
        ('key = "sample_id"', "'key' is 'sample_id'", "a list of texts"),
        ("key = [1]", "'key' is [1]", "a list of texts"),
        ("key = []", "The key has no columns", "remove it"),
        ('key = ["Sample_ID"]', "'Sample_ID' has capital letters", "'sample_id'"),
        ('key = ["a", "b", "a"]', "The key has column 'a' 2 times", "once"),
        ('key = [" a"]', "' a' is no name of a column", "in lower case"),
        ('key = [""]', "'' is no name of a column", "in lower case"),
        ('updates = "full"', "'full' is no updates", "full_image"),
        ('products = "current"', "'products' is 'current'", "a list of texts"),
        ('products = ["curent"]', "'curent' is no product of stream 'ods'", "'current'"),
        ('products = ["events"]', "'events' is no product of stream 'ods'", "changes, current, history"),
    ],
)
def test_a_mistake_in_what_an_ods_entry_says_of_its_products_is_named(
    folder: Path, line: str, problem: str, fix: str
) -> None:
    declare(folder, ODS + line + "\n")

    (mistake,) = mistakes(folder)

    assert mistake.startswith("tables.toml:5: ")
    assert problem in mistake
    assert fix in mistake


@pytest.mark.parametrize(
    ("stream", "line", "problem"),
    [
        ("dmap", 'key = ["a"]', "A table of stream 'dmap' has 'key'. Remove it."),
        ("kafka", 'key = ["a"]', "A table of stream 'kafka' has 'key'. Remove it."),
        ("kafka", 'updates = "full_image"', "A table of stream 'kafka' has 'updates'. Remove it."),
        ("dmap", "products = []", "A table of stream 'dmap' has 'products'. Remove it."),
        ("kafka", 'products = ["changes"]', "'changes' is no product of stream 'kafka'. Use one of: events."),
    ],
)
def test_only_the_stream_that_has_it_may_say_it(folder: Path, stream: str, line: str, problem: str) -> None:
    text = SOUND.replace("dmap", stream).replace("\n[table.columns]", f"{line}\n[table.columns]")
    declare(folder, text)

    assert mistakes(folder) == [f"tables.toml:5: {problem}"]


def test_a_raw_table_may_do_without_columns(folder: Path) -> None:
    declare(folder, SOUND.partition("\n[table")[0] + "is_raw = true\n")

    assert check_tables([folder]) == []


def test_further_declarations_are_added_to_those_that_come_with_the_project(folder: Path) -> None:
    declare(folder, ODS)

    assert load_tables(folder).keys() - load_tables().keys() == {
        "cubic__ods_qlik__edw_x",
        "cubic__ods_qlik__edw_x__ct",
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "problem", "fix"),
    [
        ('name = "cubic__dmap__agg_sample"\n', "", 1, "no 'name'", "name = …"),
        ('stream = "dmap"\n', "", 1, "no 'stream'", "stream = …"),
        ('prefix = "cubic/dmap/agg_sample/"\n', "", 1, "no 'prefix'", "prefix = …"),
        ("prefix", "prefx", 4, "'prefx' is no key", "'prefix'"),
        ('"dmap"', '"dmpa"', 2, "'dmpa' is no stream", "'dmap'"),
        ('"dmap"', "7", 2, "'stream' is 7", "a text"),
        ("\n[table.columns]", 'is_raw = "no"\n[table.columns]', 5, "'is_raw' is 'no'", "true or false"),
        ("cubic__dmap", "cubic_dmap", 3, "'cubic_dmap__agg_sample'", "'cubic__dmap__'"),
        ("cubic__dmap", "cubic__kafka", 3, "'cubic__kafka__agg_sample'", "'cubic__dmap__'"),
        ("__agg_sample", "__Agg_Sample", 3, "Agg_Sample", "lower-case"),
        ("__agg_sample", "__agg-sample", 3, "agg-sample", "lower-case"),
        ('agg_sample/"', 'agg_sample"', 4, "does not end with '/'", "'cubic/dmap/agg_sample/'"),
        ("cubic/dmap/", "cubic/kafka/", 4, "no place for tables of stream 'dmap'", "'cubic/dmap/'"),
        ("/agg_sample/", "/", 4, "no place", "a folder"),
        ("/agg_sample/", "//agg_sample/", 4, "no place", "a folder"),
        ("/agg_sample/", "/../agg_sample/", 4, "no place", "a folder"),
        ("/agg_sample/", "/identifier=x/", 4, "no place", "a folder"),
        ("int64", "int46", 7, "'sample_id'", "int64"),
        ('"string"', '"text"', 8, "'text'", "string"),
        ("{ type =", "{ typ =", 8, "'typ' of column 'sample_name'", "'type'"),
        ('type = "string", ', "", 8, "'sample_name' has no 'type'", "type = …"),
        ('"Its name."', "1", 8, "'description' of column 'sample_name' is 1", "a text"),
        ('"int64"', "64", 7, "'sample_id' is 64", "a text"),
        ("sample_id", "Sample_ID", 7, "capital letters", "'sample_id'"),
        ("sample_id", '"sample id"', 7, "'sample id'", "underscores"),
        ("sample_id", "load_id", 7, "'load_id'", "another name"),
        ("sample_id", "snapshot", 7, "'snapshot'", "another name"),
        ("sample_id", "identifier", 7, "'identifier'", "another name"),
        ("sample_id", "sample_name", 8, "not TOML", "twice"),
        ('sample_id = "int64"', "is_raw = true", 7, "'is_raw' is True among the columns", "above [table.columns]"),
        ("[[table]]", "[[tabel]]", 1, "'tabel' is not known", "'table'"),
        ("[[table]]", "[table]", 1, "'table' is no list", "[[table]]"),
        ('"dmap"', '"dmap', 2, "not TOML", "toml.io"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_fix(
    folder: Path, old: str, new: str, line: int, problem: str, fix: str
) -> None:
    assert old in SOUND
    declare(folder, SOUND.replace(old, new))

    first = mistakes(folder)[0]

    assert first.startswith(f"tables.toml:{line}: ")
    assert problem in first
    assert fix in first


def test_a_table_that_is_not_raw_needs_columns(folder: Path) -> None:
    declare(folder, "\n\n" + SOUND.partition("[table.columns]")[0])

    (mistake,) = mistakes(folder)

    assert mistake.startswith("tables.toml:3: The table has no columns. Add [table.columns]")
    assert mistake.endswith("or is_raw = true.")


def test_an_ods_table_must_not_have_columns(folder: Path) -> None:
    declare(folder, ODS + '\n[table.columns]\nid = "int64"\n')

    assert mistakes(folder) == [
        "tables.toml:6: An ODS table has columns. Remove them; the '.dfm' of each file has them."
    ]


def test_a_change_table_is_not_declared_by_itself(folder: Path) -> None:
    declare(folder, ODS.replace("edw_x", "edw_x__ct").replace("EDW.X", "EDW.X__ct"))

    assert [re.split(r" is | Remove", mistake)[0] for mistake in mistakes(folder)] == [
        "tables.toml:3: 'cubic__ods_qlik__edw_x__ct'",
        "tables.toml:4: 'cubic/ods_qlik/EDW.X__ct/'",
    ]


def test_a_table_is_declared_once_whatever_the_file(folder: Path) -> None:
    declare(folder, SOUND, "a.toml")
    declare(folder, "# Again.\n" + SOUND, "b.toml")

    assert mistakes(folder) == [
        "b.toml:4: 'cubic__dmap__agg_sample' is declared at a.toml:1 already. Remove one of them.",
        "b.toml:5: 'cubic/dmap/agg_sample/' is declared at a.toml:1 already. Remove one of them.",
    ]


def test_a_table_that_comes_with_the_project_is_not_declared_again(folder: Path) -> None:
    declare(folder, SOUND)

    with pytest.raises(FatalError, match=r"samples\.toml:\d+ already"):
        load_tables(folder)


@pytest.mark.parametrize(
    ("outer", "inner", "line"),
    [("EDW.X/", "EDW.X/Y/", 9), ("EDW.X/Y/", "EDW.X/", 4), ("EDW.X/", "EDW.X__ct/Y/", 9)],
)
def test_a_prefix_must_not_lie_inside_another(folder: Path, outer: str, inner: str, line: int) -> None:
    first = ODS.replace("EDW.X/", outer)
    second = ODS.replace("EDW.X/", inner).replace("edw_x", "edw_y")
    declare(folder, f"{first}\n{second}")

    found = mistakes(folder)

    assert len(found) == 1
    assert found[0].startswith(f"tables.toml:{line}: ")
    assert "lies inside" in found[0]


def test_a_prefix_that_only_begins_like_another_does_not_lie_inside_it(folder: Path) -> None:
    declare(folder, ODS + ODS.replace("EDW.X/", "EDW.XY/").replace("edw_x", "edw_xy"))

    assert mistakes(folder) == []


def test_all_mistakes_of_all_files_are_named(folder: Path) -> None:
    declare(folder, SOUND.replace("int64", "int46").replace('"string"', '"text"'), "a.toml")
    declare(folder, "what is this", "b.toml")
    declare(folder, ODS.replace("EDW.X/", "EDW.X") * 2, "c.toml")

    assert [mistake.split(": ")[0] for mistake in mistakes(folder)] == [
        "b.toml:1",
        "a.toml:7",
        "a.toml:8",
        "c.toml:4",
        "c.toml:8",
    ]
    with pytest.raises(FatalError) as error:
        load_tables(folder)
    assert all(where in str(error.value) for where in ("a.toml:7", "a.toml:8", "b.toml:1", "c.toml:4", "c.toml:8"))


def test_a_single_mistake_is_raised_as_it_is(folder: Path) -> None:
    path = declare(folder, ODS.replace("EDW.X/", "EDW.X"))

    with pytest.raises(DeclarationError) as error:
        load_tables(folder)

    assert (error.value.path, error.value.line) == (str(path), 4)


def test_a_folder_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="CUBIC_TABLES_DIR"):
        load_tables(tmp_path / "nowhere")


def test_a_file_that_is_not_utf8_is_a_mistake(folder: Path) -> None:
    (folder / "a.toml").write_bytes(SOUND.encode() + b"# caf\xe9\n")

    assert mistakes(folder) == ["a.toml:9: The text is not UTF-8. Save the file as UTF-8."]


def test_a_line_is_found_past_texts_that_look_like_toml(folder: Path) -> None:
    description = 'description = """\n[[table]]\nname = "not me"\n[table.columns]\n"""  # """\n'
    declare(folder, ODS.replace("name", description + "name") + "\n" + ODS.replace("edw_x", "Edw"))

    assert mistakes(folder)[0].startswith("tables.toml:13: 'cubic__ods_qlik__Edw'")


def test_a_column_may_be_called_like_a_key_of_the_table(folder: Path) -> None:
    declare(folder, SOUND.replace("sample_id", "name").replace("int64", "int46"))

    assert mistakes(folder)[0].startswith("tables.toml:7: ")
