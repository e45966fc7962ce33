"""Catalogs: adapters to the ``TableCatalog`` port, named vendor and role. Vendors' libraries are imported when used."""
