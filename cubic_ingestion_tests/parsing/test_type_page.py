"""The page of types says what the code does."""

from cubic_ingestion_tests.golden.type_page import PAGE, SOURCES, page


def test_the_page_of_types_is_what_the_code_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "Run: python -m cubic_ingestion_tests.golden"


def test_the_page_names_every_type_of_the_vendor() -> None:
    named = {source.name for source in SOURCES}
    assert named >= {"BOOLEAN", "BYTES", "BLOB", "DATE", "TIME", "DATETIME", "REAL4", "REAL8", "NUMERIC"}
    assert named >= {"STRING", "WSTRING", "CLOB", "NCLOB", "INT1", "INT2", "INT3", "INT4", "INT8"}
    assert named >= {"UINT1", "UINT2", "UINT4", "UINT8"}
