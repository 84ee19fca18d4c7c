"""BigQuery's names for the two unnamed fields of an image STRUCT."""

DIMENSIONS, VALUES = "_field_1", "_field_2"
