"""Export of models into the formats that BigQuery imports, one module for each library.

exports                   the way of every export: choose the exporter, write, check, compare, move into place
draft, samples            what an exporter returns; the rows that outputs are compared on
comparison                compares the outputs of a model with those of its export
stored_models             loads a model that a library saved into a file
onnx_files                ONNX models in files: their repair is `onnx_repair`, `onnx_opsets` lowers their versions
scikit_learn              and so on: one module for each library, imported when its model is given
"""
