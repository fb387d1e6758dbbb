"""A child process with a fake engine, whose behaviour depends on the length of a clip. Run as `engine_child` is."""

import os
import signal
import sys
import time
from collections.abc import Sequence

from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes import engine_child
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo, Request, Transcript

CRASH, EXIT, HANG, PRINT, PID, NO_ANSWER = 1001, 1002, 1003, 1004, 1005, 1006
"""Lengths of clips with which the engine crashes, ends the process, hangs, prints, returns its process id, or writes
into the pipe of answers."""

_PIPE = 99
"""A second descriptor of that pipe."""


class FakeEngine:
    info = EngineInfo(engine="fake", model="fake-model", device="cpu", max_batch=4)

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        return [Transcript(text=_answer(request.samples.size)) for request in batch]

    def close(self) -> None:
        """Nothing to free."""


def _answer(length: int) -> str:
    match length:
        case _ if length == CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        case _ if length == EXIT:
            os._exit(3)
        case _ if length == HANG:
            time.sleep(3600)
        case _ if length == PRINT:
            os.write(1, b"printed by a native library\n")
        case _ if length == PID:
            return str(os.getpid())
        case _ if length == NO_ANSWER:
            os.write(_PIPE, b"Illegal instruction\n")
    return str(length)


def _load(config: EngineConfig, _: object) -> FakeEngine:
    match config.model:
        case "unusable":
            raise SettingError("fake: unknown option")
        case "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hangs":
            time.sleep(3600)
        case "missing":
            raise EngineUnavailable("fake: the model is missing")
    return FakeEngine()


if __name__ == "__main__":
    os.dup2(1, _PIPE)
    sys.argv[1:] = ["WARNING", "console"]
    engine_child.main(_load)
