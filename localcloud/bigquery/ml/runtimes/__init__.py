"""The libraries that run models, one module each. Only workers import them (see `workers`).

base               the interface of a loaded model
loading            loads a model with the library of its type; the only importer of the modules below
tensorflow         SavedModels
onnx               ONNX models, with onnxruntime
tensorflow_lite    .tflite files
xgboost            .bst and .json files
numbers            converts numbers to a model's types
startup_logs       hides the log output of TensorFlow's import
"""
