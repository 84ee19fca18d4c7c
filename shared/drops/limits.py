"""The limits of what a drop may hold: the one table of them.

A function has 512 MiB, and a drop can hold anything. So nothing in a drop is read whole unless its size is bounded here, and a
drop that exceeds a limit is rejected with the limit's value.
"""

from __future__ import annotations

MEBIBYTE = 1024 * 1024

# The listing of a drop -----------------------------------------------------------------------------------------------------

FILES = 20_000
"""Objects in one drop. A drop of 20,000 files is listed with 20 calls."""

LISTED_CHARACTERS = 4 * MEBIBYTE
"""Characters in the names of all objects of a drop, each of which takes up to 4 bytes."""

MISSING_FILES = 20
"""Missing files that the ledger and an event name. More are counted."""

JSON_FILES = 5
"""JSON files whose beginning is read. A drop with two boosters is not imported, so a few are enough."""

FOUND_FILES = 20
"""Files of a refused or incomplete drop that its event lists with their sizes."""

LOOKED_UP_DROPS = 20
"""Drops whose work is read to say why a model does not exist, with two calls each."""

NAMED_FILES = 3
"""Files of a drop that the text of an error names. More are counted."""

RECOGNIZED_FILES = 5
"""Files of a refused drop whose beginning is read, to say what they are."""

NAME_BYTES = 1024
"""Bytes of an object's name: https://docs.cloud.google.com/storage/docs/objects#naming"""

NAME_PART_BYTES = 255
"""Bytes of one part of a file's path, as on the file systems that models are loaded from."""

# `modeldrop.yaml` ----------------------------------------------------------------------------------------------------------

MANIFEST_BYTES = 64 * 1024

MANIFEST_DEPTH = 10
"""Nested lists and mappings. The time to parse them grows with the square of the depth."""

MANIFEST_TOKENS = 20_000
"""Tokens of YAML, each of which takes about a kilobyte of memory when it is parsed."""

# Model files ---------------------------------------------------------------------------------------------------------------

GRAPH_BYTES = 450 * MEBIBYTE
"""The largest TensorFlow, TensorFlow Lite or ONNX model that BigQuery imports, so a larger graph is not read:
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow"""

BOOSTER_FILE_BYTES = 250 * MEBIBYTE
"""The largest XGBoost model that BigQuery imports:
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-xgboost"""

COLUMNS = 10_000
"""The columns of a query's result: https://docs.cloud.google.com/bigquery/quotas#standard_tables"""

VALUES = 2 * COLUMNS
"""Inputs, and outputs, that are read of one model. Old ONNX files list their weights among the inputs."""

STORED_COLUMNS = 1000
"""Inputs, and outputs, of a model that an item of the ledger stores as they were read."""

PROBLEMS = 5
"""Problems of one model that an event names. More are counted."""

NAMED_OPERATORS = 20
"""Operators that are not supported and that an event names."""

TENSORS = 200_000
"""Tensors of an ONNX model whose names are compared with those of its inputs."""

WINDOW_BYTES = 8 * MEBIBYTE
"""The part of a model file that is in memory. Windows do not overlap, so the largest graph takes at most 57 calls."""

MESSAGE_FIELDS = 2_000_000
"""Fields of protocol buffers that are parsed in one file, about 2 microseconds each. A skipped tensor is one field; a graph of
100,000 operations has about a million."""

PAGE_BYTES = 1 * MEBIBYTE
"""The bytes that one read of a FlatBuffers file returns."""

BUFFER_PAGES = 16
"""Pages of a FlatBuffers file that are in memory."""

BUFFER_READS = 1000
"""Pages of a FlatBuffers file that are read. The largest file has 450."""

VECTOR_ELEMENTS = 200_000
"""Elements of one vector in a FlatBuffers file, of which the tensors of a model are the longest."""

BUFFER_TABLES = 100_000
"""Tables of a FlatBuffers file that are read: operators, and the inputs and outputs of signatures."""

TABLE_FIELDS = 64
"""Fields of one table in a FlatBuffers file that are read. The later ones are of no interest."""

DIMENSIONS = 256
"""Dimensions of a tensor that are read. TensorFlow has at most 254."""

JSON_VALUE_BYTES = 4 * MEBIBYTE
"""One value that is read of a JSON file, of which a list of feature names is the largest."""

JSON_VALUE_TOKENS = 50_000
"""Texts, numbers, brackets and commas of one value that is read: twice the names of as many features as a query has columns."""

JSON_TOKENS = 10_000_000
"""Texts and brackets in a JSON file. A tree of XGBoost has about 50, and a million takes about a second."""

ASSETS = 1000
"""Assets that a graph may name."""

BOOSTER_BYTES = 256
"""The beginning of a JSON file that shows whether it is an XGBoost model."""

REMEMBERED_GRAPHS = 100
"""Graphs whose content a process remembers, so that it reads each generation once."""
