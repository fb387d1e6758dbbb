"""A lane with a real streaming model on a thread and many sessions gives the texts of sherpa-onnx used directly."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, cycle
from pathlib import Path

import numpy as np
import pytest
import sherpa_onnx
import trio
from numpy.typing import NDArray

from tests.engines.leaks import bytes_in_use
from tests.lanes.fakes import limits
from tests.support.stream_models import write_stream_transducer, write_zipformer2_ctc
from tests.support.tone_models import END_HZ, ONE_HZ, THREE_HZ, TWO_HZ, spoken
from trio_stt.errors import JobDropped
from trio_stt.lanes.engine_thread import engine_threads
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig, Request, StreamKey
from trio_stt.lanes.job import Job, JobKind
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.loaded_engine import LoadedEngine

SESSIONS = 8
TAIL_S = 0.66

Clip = NDArray[np.float32]


def audio_of(session: int) -> Clip:
    """The audio of a session: its own words, some noise, and no silence at the end."""
    words = ((ONE_HZ,), (TWO_HZ,), (THREE_HZ, END_HZ))
    tones = [hz for turn in range(3 + session % 3) for hz in words[(session + turn * (1 + session // 3)) % 3]]
    clip = spoken(*tones)[: -3_000 - 100 * session]
    noise = np.random.default_rng(session).normal(0.0, 1e-4, clip.size)
    return (clip + noise).astype(np.float32)


def clip_ends(clip: Clip, session: int) -> list[int]:
    """The ends of the clips of a session's partials, in samples."""
    sizes = cycle([1_024, 3_000 + 500 * session, 160 * (session + 1)])
    return [end for end in accumulate(next(sizes) for _ in range(200)) if end < clip.size]


class ReferenceDecoder:
    """sherpa-onnx used directly, without a lane, one stream at a time."""

    def __init__(self, kind: str, folder: Path) -> None:
        found = {name: str(next(folder.glob(f"{name}*"))) for name in ("encoder", "decoder", "joiner") if kind != "ctc"}
        tokens = str(folder / "tokens.txt")
        if kind == "ctc":
            model = str(next(folder.glob("*.onnx")))
            self._recognizer = sherpa_onnx.OnlineRecognizer.from_zipformer2_ctc(tokens=tokens, model=model)
        else:
            self._recognizer = sherpa_onnx.OnlineRecognizer.from_transducer(tokens=tokens, **found)

    def transcribe(self, clip: Clip, ends: Sequence[int]) -> list[str]:
        """The text after each end, and after the last word."""
        stream = self._recognizer.create_stream()
        texts = []
        for start, end in zip([0, *ends], [*ends, clip.size], strict=True):
            stream.accept_waveform(16_000, clip[start:end])
            if end == clip.size:
                stream.accept_waveform(16_000, np.zeros(round(TAIL_S * 16_000), np.float32))
                stream.input_finished()
            while self._recognizer.is_ready(stream):
                self._recognizer.decode_stream(stream)
            texts.append(self._recognizer.get_result(stream).strip())
        return texts


async def run_session(lane: Lane, session: int, texts_by_session: dict[int, list[str]]) -> None:
    """One utterance: partials, some of which are replaced while they are queued, and the final."""
    clip, utterance = audio_of(session), StreamKey()

    def job(end: int, kind: JobKind = JobKind.PARTIAL) -> Job:
        return Job(session_id=str(session), kind=kind, samples=clip[:end], utterance=utterance)

    texts = texts_by_session[session] = []
    for number, end in enumerate(clip_ends(clip, session)):
        replaced = lane.submit(job(end)) if number % 3 == 0 else None
        ticket = lane.submit(job(end))
        if replaced is not None:
            with pytest.raises(JobDropped, match="coalesced"):
                await replaced.wait()
        texts.append((await ticket.wait()).transcript.text)
    texts.append((await lane.submit(job(clip.size, JobKind.FINAL)).wait()).transcript.text)


@pytest.mark.parametrize(("kind", "write"), [("transducer", write_stream_transducer), ("ctc", write_zipformer2_ctc)])
async def test_interleaved_sessions_get_the_text_of_sherpa_onnx_alone(
    kind: str, write: Callable[[Path], Path], tmp_path: Path, nursery: trio.Nursery
) -> None:
    folder = write(tmp_path)
    config = EngineConfig(engine="sherpa_onnx_streaming", model=str(folder))
    lane = Lane(
        "main",
        new_executor=engine_threads("main", partial(registry.load, config)),
        limits=limits(),
        batch_size=lambda _: SESSIONS,
    )
    await nursery.start(lane.run)
    await lane.wait_loaded()
    assert lane.streaming
    texts_by_session: dict[int, list[str]] = {}
    async with trio.open_nursery() as sessions:
        for session in range(SESSIONS):
            sessions.start_soon(run_session, lane, session, texts_by_session)
    alone = ReferenceDecoder(kind, folder)
    for session in range(SESSIONS):
        clip = audio_of(session)
        expected = alone.transcribe(clip, clip_ends(clip, session))
        assert texts_by_session[session] == expected
        assert len(set(expected)) >= 3
        assert expected[-1].count(" ") >= 2
    nursery.cancel_scope.cancel()


def test_finished_streams_leak_no_memory(tmp_path: Path) -> None:
    config = EngineConfig(engine="sherpa_onnx_streaming", model=str(write_stream_transducer(tmp_path)))
    engine = LoadedEngine.load(partial(registry.load, config))
    clip = audio_of(0)

    def speak(times: int) -> int:
        """Two utterances each time, the first one left unfinished; returns the bytes in use after them."""
        for ends in (False, True) * times:
            utterance = StreamKey()
            engine.transcribe([Request(samples=clip[:8_000], utterance=utterance, ends=False)])
            engine.transcribe([Request(samples=clip[:16_000], utterance=utterance, ends=ends)])
        return bytes_in_use()

    before = speak(20)
    # A stream of this model is some 40 kB of states and frames.
    assert speak(60) - before < 10 * 40_000
    engine.close()
