"""The operators that an imported model may use, and the checks of a model's files before a library loads them.

allowed        the lists
saved_model    SavedModels: every graph, function and signature, and which files they read
onnx_model     ONNX models: every graph, subgraph and function, and where their tensors are
lite_model     TensorFlow Lite models
"""
