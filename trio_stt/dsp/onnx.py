"""Small ONNX models for the event loop's thread: how they are loaded, and nothing else."""

from pathlib import Path

import onnxruntime

_QUIET_LOG = 3


def open_model(model: Path | bytes) -> onnxruntime.InferenceSession:
    """Load a model for calls on the CPU that stay on the thread that makes them.

    Raises:
        Exception: onnxruntime cannot read the file; it has a class of its own for each kind of fault.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET_LOG
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
