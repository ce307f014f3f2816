"""Exports of a trained model to files that run without bothways, and without Python.

Here are the writers of each format, and the comparison of every exported file with the model, which
comes before the file appears. Running a model inside bothways belongs to `bothways.models`.
"""

from bothways.export.onnx.file import OnnxExport, export_onnx
from bothways.export.onnx.quantization import QuantizedExport, export_quantized

__all__ = ["OnnxExport", "QuantizedExport", "export_onnx", "export_quantized"]
