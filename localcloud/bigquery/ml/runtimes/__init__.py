"""The libraries that run models, one module each.

base.py             what every loaded model has
loading.py          loads a model with the library of its type, which is imported only then
tensorflow.py       SavedModel
onnx.py             ONNX, by onnxruntime
tensorflow_lite.py  .tflite
xgboost.py          .bst and .json
verification.py     checks a booster file in a process of its own
"""
