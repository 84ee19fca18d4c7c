"""BigQuery ML of the local BigQuery: imported models that really predict, remote models, images.

lexer, statements      GoogleSQL to tokens, and model statements to data
importing, runtimes/   files out of a bucket, and the libraries that run them
catalog, changes       the models there are, and what may be changed of them
calls, rewriting,      where ML functions stand in a query, and what takes their place
prediction, functions
inference              Arrow columns to a model and back
"""

from localcloud.bigquery.ml.service import MachineLearning, ModelResult
from localcloud.bigquery.ml.statements import ModelStatement

__all__ = ["MachineLearning", "ModelResult", "ModelStatement"]
