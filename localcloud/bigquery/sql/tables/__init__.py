"""What a statement says of tables: partitions, pseudo columns, lengths of columns, INFORMATION_SCHEMA."""
