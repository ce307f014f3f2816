"""ONNX files: a classifier as a graph of ONNX's operators, its check, and its quantization.

Running such a file, and the check that it is safe to run, belong to `bothways.models.onnx_model`.
"""
