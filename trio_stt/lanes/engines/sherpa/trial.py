"""Loads a model of sherpa-onnx in a child process first, because sherpa-onnx ends the process on files it cannot use.

`refusal` runs this file as a script in the child: the script makes the recogniser, transcribes half a second of
silence, and exits with 0. The child imports nothing of this package.
"""

import importlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

DEADLINE_S = 300.0
"""Seconds after which the child is killed and the model refused. Not measured: enough to read gigabytes from a slow
disk, and an end for a model that hangs."""

_MESSAGE_CHARACTERS = 300
"""The end of the child's standard error that becomes the message; the reason stands last."""

_SOURCE_PLACE = re.compile(r"\S*sherpa-onnx/\S+:\d+ ")
"""How sherpa-onnx begins its messages: file, function and line in its own sources."""

logger = logging.getLogger(__name__)


def refusal(library: str, recognizer: str, factory: str, arguments: Mapping[str, object]) -> str | None:
    """Load a model in a child process; blocks until it is done.

    Args:
        library: Name of the module, `sherpa_onnx`.
        recognizer: Name of its class.
        factory: Name of the class method that loads the model.
        arguments: Its arguments; only strings, numbers and booleans.

    Returns:
        None if the model can be loaded, or if no child process can be started; else why it cannot: the library's own
        message, or how the child ended.
    """
    request = {"library": library, "recognizer": recognizer, "factory": factory, "arguments": dict(arguments)}
    # The child imports what this process would import. `-P` keeps this file's folder off its path, because modules
    # there have general names.
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(  # noqa: S603 - this file, with the interpreter that runs this process
            [sys.executable or "", "-P", __file__],  # an embedded interpreter has no executable
            input=json.dumps(request),
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"loading takes longer than {DEADLINE_S:g} s"
    except OSError as error:
        logger.warning("%s: no child process can be started, so the model is loaded untried: %s", library, error)
        return None
    if done.returncode == 0:
        return None
    message = " ".join(_SOURCE_PLACE.sub("", done.stderr).split())[-_MESSAGE_CHARACTERS:]
    exit_reason = _exit_reason(done.returncode)
    if "SIGKILL" in exit_reason:  # the library cannot have printed the reason
        return f"{message}; {exit_reason}" if message else exit_reason
    return message or exit_reason


def _exit_reason(status: int) -> str:
    """Describe how the child ended, by its return code; a negative one is the number of a signal."""
    if status >= 0:
        return f"the child process that tried it ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal
        name = f"signal {-status}"
    hint = ", which is also how the system ends a process when memory runs out" if name == "SIGKILL" else ""
    return f"the child process that tried it was ended by {name}{hint}"


def _main() -> None:
    request = json.load(sys.stdin)
    make: Any = getattr(getattr(importlib.import_module(request["library"]), request["recognizer"]), request["factory"])
    try:
        recognizer = make(**request["arguments"])
        stream = recognizer.create_stream()
        stream.accept_waveform(16_000, [0.0] * 8_000)
        if not hasattr(recognizer, "is_ready"):
            recognizer.decode_stream(stream)
            return
        stream.input_finished()
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to know
        sys.exit(str(error).strip() or type(error).__name__)


if __name__ == "__main__":
    _main()
    # Without the teardown of native libraries: a crash there says nothing about the model.
    os._exit(0)
