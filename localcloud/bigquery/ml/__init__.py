"""BigQuery ML of the local BigQuery: imported models that really predict, remote models, images.

    lexer, statements          GoogleSQL to tokens, and model statements to data
    service                    the statements carried out
    importing, exporting       files out of a bucket, and back
    runtimes/, signature       the libraries that run models; what a model takes and gives
    catalog, changes, remote   the models there are, what may be changed of them, the ones that stand for Gemini
    calls, rewriting           where ML functions stand in a query, and what takes their place
    prediction, streaming, functions, inference    ML.PREDICT: as a query, as a stream, as a function, over arrays
    generated, generation, output_schema           the functions that ask a remote model
    object_tables, references, images              objects as rows, and pictures as numbers

Where Google's pages are silent, it is so here:

- An input of one element per row (``[batch, 1]``) is a scalar column, and takes an ARRAY of one element as well. Every
  output with more than the batch dimension is an ARRAY, one of one element too; higher ranks are laid out flat.
- Inputs and outputs of a SavedModel are in the order of their names, those of an ONNX model in the graph's.
- A NULL, and a NULL in an array, is an error that names the column. Arrays of different lengths are fine where the model
  leaves the length open.
- A model with a fixed batch of 1 is called once per row; any other fixed batch is refused.
- A whole number that does not fit the model's type is an error; text that is no UTF-8 too.
- The output of a booster whose file holds the schema is called ``predicted_label``.
- ``threshold``, ``keep_original_columns`` and ``trial_id`` are refused for imported models.
- SparseTensor inputs and serialized ``tf.train.Example`` features are not taken apart.
"""
