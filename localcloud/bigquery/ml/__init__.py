"""BigQuery ML of the local BigQuery: imported models with real inference, remote models, and images.

    statements                 parses model statements
    service                    runs model statements
    importing, exporting       copies model files from and to a bucket
    operators/                 which operators a model may use
    workers/                   runs models in processes of their own; the only door to models
    runtimes/, signature       the libraries that run models; a model's inputs and outputs
    catalog, changes, remote   the existing models, changes to their resources, remote models
    calls, rewriting           finds ML functions in a query, and replaces them
    replacing/                 what replaces the calls of each kind of function
    prediction, streaming, functions, inference    ML.PREDICT: as a query, as a stream, as a function, over arrays
    generated, generation, output_schema           the functions that call a remote model
    preprocessing                                  scalers, buckets, n-grams and norms of features
    objects/, images                               objects as rows, and images as numbers

Where Google's documentation does not define the behavior, the local BigQuery behaves as follows:

- An input of one element per row (``[batch, 1]``) is a scalar column, and also accepts an ARRAY of one element. Every
  output with more than the batch dimension is an ARRAY, even of one element. Higher ranks are flattened.
- The inputs and outputs of a SavedModel are in the order of their names. Those of an ONNX model are in the graph's order.
- A NULL, or an array with a NULL, is an error that names the column. Arrays may differ in length if the model leaves the
  length open.
- A model with a fixed batch of 1 is called once per row. Any other fixed batch is rejected.
- An integer out of the range of the model's type is an error, and so is text that is not UTF-8.
- The output of a booster whose file contains the schema is named ``predicted_label``.
- ``threshold``, ``keep_original_columns`` and ``trial_id`` are rejected for imported models.
- A SparseTensor input is given as a dense array, or NULL for no values. The features of a serialized ``tf.train.Example`` are
  the columns, if the graph names them; NULL is a feature that the example does not have.
"""
