"""The clips on the way to an engine in another process: they arrive whole, and what was sent is not sent again."""

import gc
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engine_messages import (
    HEADER,
    ClipReceiver,
    ClipSender,
    Failed,
    Load,
    Transcribe,
    decode_answer,
    decode_request,
    encode,
)
from trio_stt.lanes.engines.base import EngineConfig, Hints, Request, StreamKey

AUDIO = np.random.default_rng(1).uniform(-1, 1, 2_000).astype(np.float32)


def sent(message: Transcribe) -> Transcribe:
    """The message as it arrives."""
    arrived = decode_request(encode(message)[HEADER.size :])
    assert isinstance(arrived, Transcribe)
    return arrived


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2_000), st.booleans()), min_size=1, max_size=12),
    st.booleans(),
)
def test_every_clip_arrives_whole(clips: list[tuple[int, int, bool]], streaming: bool) -> None:
    sender, receiver = ClipSender(streaming=streaming), ClipReceiver()
    keys = [None, StreamKey(), StreamKey(), StreamKey()]
    numbers: dict[StreamKey | None, StreamKey] = {}
    for which, length, ends in clips:
        offset = which * 10  # another utterance has other audio
        request = Request(samples=np.roll(AUDIO, offset)[:length], utterance=keys[which], ends=ends)
        (arrived,) = receiver.batch(sent(sender.message([request])))
        np.testing.assert_array_equal(arrived.samples, request.samples)
        assert arrived.ends is ends
        assert (arrived.utterance is not None) is (streaming and which > 0)
        if arrived.utterance is not None:
            assert numbers.setdefault(keys[which], arrived.utterance) is arrived.utterance


def test_only_new_audio_of_a_growing_utterance_is_sent() -> None:
    sender, key = ClipSender(streaming=True), StreamKey()
    sizes = [
        len(sender.message([Request(samples=AUDIO[:length], utterance=key)]).clips[0].samples) // 4
        for length in (500, 900, 900, 700, 1_000)
    ]
    assert sizes == [500, 400, 0, 0, 100]


def test_audio_of_an_utterance_that_is_over_is_freed() -> None:
    sender, receiver = ClipSender(streaming=True), ClipReceiver()
    key = StreamKey()
    receiver.batch(sender.message([Request(samples=AUDIO, utterance=key)]))
    del key
    gc.collect()
    receiver.batch(sender.message([Request(samples=AUDIO[:1])]))
    assert not receiver.utterances


def test_hints_and_configuration_arrive() -> None:
    request = Request(samples=AUDIO, hints=Hints(prompt="Słowa", vad_filter=True))
    (arrived,) = ClipReceiver().batch(sent(ClipSender(streaming=False).message([request])))
    assert arrived.hints == request.hints
    config = EngineConfig(engine="fake", download_root=Path("models"), options={"a": [1, {"b": None}]})
    assert decode_request(encode(Load(config))[HEADER.size :]) == Load(config)


def test_errors_arrive_with_the_kind_of_their_cause() -> None:
    for error, cause in (
        (TranscriptionFailed("no"), None),
        (EngineUnavailable("install it"), ImportError("no module")),
        (EngineUnavailable("wrong"), SettingError("no option")),
        (EngineUnavailable("lost"), OSError("gone")),
    ):
        error.__cause__ = cause
        answer = decode_answer(encode(Failed.of(error))[HEADER.size :])
        assert isinstance(answer, Failed)
        arrived = answer.error()
        assert (type(arrived), str(arrived)) == (type(error), str(error))
        if isinstance(error, EngineUnavailable):
            assert isinstance(arrived, EngineUnavailable)
            assert arrived.may_pass is error.may_pass
