"""A custom wake-word model that could block the event loop is refused before it runs there."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.support.real import package_folder
from tests.support.tone_models import constant
from trio_stt.models import wake_word_trial
from trio_stt.models.wake_word_trial import refusal

_INPUT = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 96])
_SCORE = helper.make_node("ReduceMax", ["x"], ["flat"], keepdims=0)
_SHAPED = helper.make_node("Reshape", ["flat", "shape"], ["score"])


def write(path: Path, nodes: Sequence[onnx.NodeProto], functions: Sequence[onnx.FunctionProto] = ()) -> Path:
    """A model with these nodes beside those that compute a score."""
    graph = helper.make_graph(
        [*nodes, _SCORE, _SHAPED],
        "word",
        [_INPUT],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        [constant("shape", [1, 1], int), constant("many", 2**62, int), constant("yes", True, bool)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions), path)
    return path


def endless_loop() -> onnx.NodeProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("still", TensorProto.BOOL, [])],
    )
    return helper.make_node("Loop", ["many", "yes"], [], body=body)


def in_a_branch() -> onnx.NodeProto:
    branch = helper.make_graph(
        [endless_loop(), helper.make_node("Identity", ["x"], ["same"])],
        "branch",
        [],
        [helper.make_tensor_value_info("same", TensorProto.FLOAT, [1, 16, 96])],
    )
    return helper.make_node("If", ["yes"], ["unused"], then_branch=branch, else_branch=branch)


def test_model_that_can_be_used_passes(tmp_path: Path) -> None:
    assert refusal(package_folder("openwakeword") / "resources" / "models" / "alexa_v0.1.onnx") is None
    assert refusal(write(tmp_path / "small.onnx", [])) is None


@pytest.mark.parametrize("node", [endless_loop(), in_a_branch()], ids=["Loop", "Loop in If"])
def test_loop_is_refused(tmp_path: Path, node: onnx.NodeProto) -> None:
    assert refusal(write(tmp_path / "a.onnx", [node])) == "it contains the operator Loop, which may run for ever"


def test_loop_in_a_function_is_refused(tmp_path: Path) -> None:
    function = helper.make_function("mine", "F", ["many", "yes"], [], [endless_loop()], [helper.make_opsetid("", 17)])
    path = write(tmp_path / "a.onnx", [helper.make_node("F", ["many", "yes"], [], domain="mine")], [function])
    assert refusal(path) == "it contains the operator Loop, which may run for ever"


@pytest.mark.parametrize(("operator", "domain"), [("Scan", ""), ("SequenceMap", ""), ("GreedySearch", "com.microsoft")])
def test_other_operators_that_repeat_are_refused(tmp_path: Path, operator: str, domain: str) -> None:
    path = write(tmp_path / "a.onnx", [helper.make_node(operator, ["x"], ["y"], domain=domain)])
    assert refusal(path) == f"it contains the operator {operator}, which may run for ever"


def test_slow_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # About 10 s of multiplications; the result is used, so that they are not optimised away.
    nodes = [
        helper.make_node("Expand", ["flat", "wide"], ["square"]),
        helper.make_node("MatMul", ["square", "square"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["most"], keepdims=0),
        helper.make_node("Reshape", ["most", "shape"], ["score"]),
    ]
    graph = helper.make_graph(
        [_SCORE, *nodes],
        "word",
        [_INPUT],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        [constant("shape", [1, 1], int), constant("wide", [1_800, 1_800], int)],
    )
    path = tmp_path / "slow.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    reason = refusal(path)
    assert reason is not None
    assert reason.endswith(" ms; at most 40 ms are allowed")
    monkeypatch.setattr(wake_word_trial, "TRIAL_S", 0.01)
    assert refusal(path) == "a trial run does not end within 0.01 s"


def test_model_that_takes_all_memory_is_refused(tmp_path: Path) -> None:
    huge = constant("huge", [1, 16 << 30], int)
    nodes = [helper.make_node("Expand", ["flat", "huge"], ["wide"]), helper.make_node("ReduceMax", ["wide"], ["score"])]
    graph = helper.make_graph(
        [_SCORE, *nodes], "word", [_INPUT], [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])], [huge]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "a.onnx")
    assert refusal(tmp_path / "a.onnx") is not None


def test_crash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false = shutil.which("false")
    assert false is not None
    monkeypatch.setattr(wake_word_trial.sys, "executable", false)
    assert refusal(write(tmp_path / "a.onnx", [])) == "a trial run ended with status 1"
