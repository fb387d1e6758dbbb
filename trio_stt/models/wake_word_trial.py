"""Tries a custom wake-word model before it runs on the event loop, where an endless run would stop all sessions.

Two checks together bound what a model can do. It must not contain an operator that repeats, so that its time does not
depend on the audio. And it must load and run in a child process in time, so that a model that hangs, crashes or is too
slow is refused. The child runs this module as a script.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from trio_stt.errors import first_line

if sys.platform != "win32":
    import resource

TRIAL_S = 60.0
"""Seconds after which the child is killed and the model refused. A trial takes 0.5 s; a busy machine needs more."""

_MAX_RUN_S = 0.04
"""Longest time of a run in seconds; there is one for every 80 ms of audio of every session. The package's models take
0.4 ms at most."""
_MAX_MEMORY_BYTES = 4 << 30
"""Address space of the child. A wake-word model needs some MB; one that allocates without end must not take it all."""
_RUNS = 5
"""Number of runs. The fastest counts, because other processes slow down some of them."""

_REPEATING = frozenset({"Loop", "Scan", "SequenceMap"})
_SEARCHES = ("Search", "Sampling")
"""Parts of the names of onnxruntime's own operators that generate text until a token ends it."""


def refusal(path: Path) -> str | None:
    """Check a model and run it in a child process; blocks until it is done.

    Returns:
        None if the model can be used, or if its input is not a wake-word model's; else the reason.

    Raises:
        Exception: The file is not an ONNX model; each kind of fault has a class of its own.
    """
    model = onnx.load_model(path, load_external_data=False)
    functions = [node for function in model.functions for node in function.node]
    for operator in _operators([*model.graph.node, *functions]):
        if operator in _REPEATING or any(part in operator for part in _SEARCHES):
            return f"it contains the operator {operator}, which may run for ever"
    # The child imports what this process would import. `-P` keeps the working folder off its path.
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    try:
        done = subprocess.run(  # noqa: S603 - this file, with the interpreter that runs this process
            [sys.executable, "-P", "-m", __name__, str(path)],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=TRIAL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"a trial run does not end within {TRIAL_S:g} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if done.returncode > 0 and lines else f"a trial run ended with status {done.returncode}"


def _operators(nodes: list[onnx.NodeProto]) -> Iterator[str]:
    """The operators of nodes, and of the graphs inside of them."""
    for node in nodes:
        yield node.op_type
        for attribute in node.attribute:
            yield from _operators([inner for graph in (attribute.g, *attribute.graphs) for inner in graph.node])


def _main(path: str) -> None:
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # the reason is printed below
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        first, *others = session.get_inputs()
        shape = [size if isinstance(size, int) else 1 for size in first.shape]
        if others or len(shape) != 3:  # noqa: PLR2004 - batch, embeddings, width; the caller has the words for others
            return
        embeddings = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        times_s = []
        for _ in range(_RUNS):
            begun_s = time.perf_counter()
            session.run(None, {first.name: embeddings})
            times_s.append(time.perf_counter() - begun_s)
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a class of its own for each kind of fault
        sys.exit(first_line(error))
    if min(times_s) > _MAX_RUN_S:
        sys.exit(f"a run takes {min(times_s) * 1000:.0f} ms; at most {_MAX_RUN_S * 1000:.0f} ms are allowed")


if __name__ == "__main__":
    _main(sys.argv[1])
    # Without the teardown of native libraries: a crash there says nothing about the model.
    os._exit(0)
