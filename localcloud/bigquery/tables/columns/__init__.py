"""The columns of tables: settings beside type and mode, keys, elements of arrays."""
