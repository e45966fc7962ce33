"""Write the golden files anew."""

from cubic_ingestion_tests.golden import FILES, FOLDER

for name, data in FILES.items():
    (FOLDER / name).write_bytes(data)
