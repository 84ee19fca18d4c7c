"""How BigQuery names the two fields of an image, a STRUCT whose fields have no names of their own."""

DIMENSIONS, VALUES = "_field_1", "_field_2"
