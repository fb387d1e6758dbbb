"""Loading of small ONNX models that run on the event loop's thread."""

from pathlib import Path

import onnxruntime

_ERRORS_ONLY = 3
"""onnxruntime's log level for errors."""


def open_model(model: Path | bytes) -> onnxruntime.InferenceSession:
    """Load a model that runs on the CPU, in the calling thread only.

    Raises:
        Exception: onnxruntime cannot read the file; it has a class of its own for each kind of error.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
