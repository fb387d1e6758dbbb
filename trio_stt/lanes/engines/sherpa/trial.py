"""Loads a model of sherpa-onnx in a child process first, because sherpa-onnx ends the process on files it cannot use.

`refusal` runs this file as a script in that child: it makes the recogniser, transcribes half a second of silence, and
exits with 0. In the child nothing of this package is imported.
"""

import importlib
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

DEADLINE_S = 300.0
"""A model that takes longer than this to load is refused, in seconds. Not measured: long enough for gigabytes from a
slow disk, and an end for a model that hangs."""

_MESSAGE_CHARACTERS = 300
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
        None if the model can be loaded, or if no child process can be started; else the library's own complaint.
    """
    request = {"library": library, "recognizer": recognizer, "factory": factory, "arguments": dict(arguments)}
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(  # noqa: S603 - this file, with the interpreter that runs us
            [sys.executable, "-P", __file__],
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
    except OSError as error:  # an embedded interpreter has no executable of its own
        logger.warning("%s: no child process to try the model in: %s", library, error)
        return None
    if done.returncode == 0:
        return None
    complaint = " ".join(_SOURCE_PLACE.sub("", done.stderr).split())
    return complaint[-_MESSAGE_CHARACTERS:] or f"the process that loads it ends with status {done.returncode}"


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
