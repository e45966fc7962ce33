"""Write the golden files and the page of types anew."""

from cubic_ingestion_tests.golden import FILES, FOLDER
from cubic_ingestion_tests.golden.type_page import PAGE, page

for name, data in FILES.items():
    (FOLDER / name).write_bytes(data)
PAGE.write_text(page(), encoding="utf-8")
