"""Engines that sherpa-onnx runs."""
