"""Scripts: parsing and running them, their values, transactions and child jobs."""
