"""Rewrites an ONNX network that slides over time into an incremental one that computes only what each step adds.

It only rewrites the graph; `embedding` runs the result and compares it with the original.

A convolution without padding in time computes each new row from new rows and a few rows before them. The rewritten
network gets those few rows from a state, for each convolution, and returns the newest rows as the next state. This is
exact if a step moves each layer by whole rows, that is, if the product of all pooling strides divides the step.
"""

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper, shape_inference

_TIME = 2
"""Axis of time: layers have shape (1, channels, time, width)."""


def streaming_onnx(path: Path) -> bytes:
    """Build the incremental form of a network.

    Args:
        path: An ONNX file with one input and one output. Its first and last operators only reshape them; between are
            convolutions, poolings and element-wise operators.

    Returns:
        An ONNX file. Its inputs, float32: the rows since the last step, shape (1, 1, rows, width), and the state, shape
        (1, size), zeros at first. Its outputs: one result per step, shape (1, channels, steps, width), and the next
        state.

    Raises:
        Exception: It is another kind of network; onnx has a class of its own for each kind of error.
    """
    model = shape_inference.infer_shapes(onnx.load(path))
    inferred = {value.name: value.type.tensor_type.shape.dim for value in model.graph.value_info}
    begin, *layers, _ = model.graph.node
    nodes: list[NodeProto] = []
    shapes: list[tuple[int, int, int, int]] = []
    for layer in layers:
        if rows := _rows_before(layer):
            _, channels, _, width = inferred[layer.input[0]]
            nodes += _state_nodes(layer.input[0], len(shapes))
            layer.input[0] = f"joined_{len(shapes)}"
            shapes.append((1, channels.dim_value, rows, width.dim_value))
        nodes.append(layer)
    sizes = [math.prod(shape) for shape in shapes]
    nodes.insert(0, helper.make_node("Split", ["state", "sizes"], [f"flat_{at}" for at in range(len(sizes))], axis=1))
    nodes.append(helper.make_node("Concat", [f"next_{at}" for at in range(len(sizes))], ["next_state"], axis=1))
    constants = {"sizes": sizes, "end": [np.iinfo(np.int64).max], "time": [_TIME]}
    for at, shape in enumerate(shapes):
        constants |= {f"shape_{at}": list(shape), f"newest_from_{at}": [-shape[_TIME]]}
    initial = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()]
    width = inferred[begin.output[0]][-1].dim_value
    inputs = [_floats(begin.output[0], 1, 1, "rows", width), _floats("state", 1, sum(sizes))]
    outputs = [_floats(layers[-1].output[0], 1, "channels", "steps", "width"), _floats("next_state", 1, sum(sizes))]
    graph = helper.make_graph(nodes, "streaming", inputs, outputs, [*model.graph.initializer, *initial])
    # Keep the original's versions: the installed onnxruntime may be older than onnx.
    rewritten = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    serialized: bytes = rewritten.SerializeToString()
    return serialized


def _rows_before(layer: NodeProto) -> int:
    """Rows of earlier input that a layer needs for its next output row. The windows of poolings do not overlap."""
    kernels = [helper.get_attribute_value(fact) for fact in layer.attribute if fact.name == "kernel_shape"]
    return kernels[0][0] - 1 if layer.op_type == "Conv" else 0


def _state_nodes(new: str, at: int) -> list[NodeProto]:
    """Nodes that put the rows of the state before the new rows, and write the newest rows to the next state."""
    return [
        helper.make_node("Reshape", [f"flat_{at}", f"shape_{at}"], [f"old_{at}"]),
        helper.make_node("Concat", [f"old_{at}", new], [f"joined_{at}"], axis=_TIME),
        helper.make_node("Slice", [f"joined_{at}", f"newest_from_{at}", "end", "time"], [f"newest_{at}"]),
        helper.make_node("Flatten", [f"newest_{at}"], [f"next_{at}"]),
    ]


def _floats(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
