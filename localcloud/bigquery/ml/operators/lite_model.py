"""Checks the operators of a TensorFlow Lite model.

The operators of the format compute. All others are refused: the interpreter can't run them either.
https://www.tensorflow.org/lite/guide/ops_custom
"""

from __future__ import annotations

from tensorflow.lite.python import schema_py_generated as schema

from localcloud.bigquery.ml.models.errors import InvalidModel


def check_lite_model(content: bytes) -> None:
    """Check the content of a ``.tflite`` file.

    Raises:
        InvalidModel: The model uses an operator that is not one of the format.
    """
    model = schema.Model.GetRootAsModel(content, 0)
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if builtin == schema.BuiltinOperator.CUSTOM or code.CustomCode():
            name = (code.CustomCode() or b"").decode(errors="replace")
            raise InvalidModel(
                f"The TensorFlow Lite model uses the custom operator {name}, which is not supported in an imported model. "
                "Only TensorFlow Lite's own operators are."
            )
