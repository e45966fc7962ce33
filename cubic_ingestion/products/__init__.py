"""Products: the tables that people query, kept in the warehouse, each made of the loads of one declared table."""
