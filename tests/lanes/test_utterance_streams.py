"""Utterances in a streaming engine: each sample is decoded once, and again only after a failure."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lanes.fakes import FakeEngine, FakeStreamingEngine, clip
from trio_stt.errors import EngineUnavailable, TranscriptionFailed
from trio_stt.lanes.engines.base import EngineInfo, Request, StreamKey, Transcript
from trio_stt.lanes.loaded_engine import LoadedEngine
from trio_stt.lanes.utterance_streams import UtteranceStreams


def so_far(utterance: StreamKey, samples: int, *, ends: bool = False) -> Request:
    return Request(samples=clip(samples), utterance=utterance, ends=ends)


def texts(transcripts: list[Transcript]) -> list[str]:
    return [transcript.text for transcript in transcripts]


def test_each_sample_is_decoded_once_and_the_final_ends_the_stream() -> None:
    engine, one = FakeStreamingEngine(), StreamKey()
    streams = UtteranceStreams(engine)
    text = [streams.transcribe([so_far(one, samples)])[0].text for samples in (10, 30, 35)]
    assert text == ["10", "10 30", "10 30 35"]
    assert texts(streams.transcribe([so_far(one, 50, ends=True)])) == ["10 30 35 50."]
    assert len(engine.streams) == 0  # an ended utterance needs no stream


def test_final_without_partials_is_fed_as_a_whole() -> None:
    streams = UtteranceStreams(FakeStreamingEngine())
    assert texts(streams.transcribe([so_far(StreamKey(), 50, ends=True)])) == ["50."]


def test_final_without_new_samples_only_ends_the_stream() -> None:
    engine, one = FakeStreamingEngine(), StreamKey()
    streams = UtteranceStreams(engine)
    streams.transcribe([so_far(one, 50)])
    assert texts(streams.transcribe([so_far(one, 50, ends=True)])) == ["50."]
    assert engine.fed == [50]


def test_final_shorter_than_its_partials_gets_a_new_stream() -> None:
    streams, one = UtteranceStreams(FakeStreamingEngine()), StreamKey()
    streams.transcribe([so_far(one, 50)])
    assert texts(streams.transcribe([so_far(one, 40, ends=True)])) == ["40."]


def test_late_partial_gets_the_latest_text_without_decoding() -> None:
    engine, one = FakeStreamingEngine(), StreamKey()
    streams = UtteranceStreams(engine)
    streams.transcribe([so_far(one, 50, ends=True)])
    assert texts(streams.transcribe([so_far(one, 40), so_far(one, 60)])) == ["50.", "50."]
    assert (engine.fed, engine.decoded) == ([50], [1])


def test_second_final_of_an_utterance_gets_a_new_stream() -> None:
    streams, one = UtteranceStreams(FakeStreamingEngine()), StreamKey()
    for samples in (50, 60):
        assert texts(streams.transcribe([so_far(one, samples, ends=True)])) == [f"{samples}."]


def test_streams_of_a_batch_are_decoded_in_one_call_beside_separate_clips() -> None:
    engine, one, two = FakeStreamingEngine(), StreamKey(), StreamKey()
    streams = UtteranceStreams(engine)
    streams.transcribe([so_far(one, 10)])
    batch = [so_far(two, 7), Request(samples=clip(3)), so_far(one, 30, ends=True), Request(samples=clip(4))]
    assert texts(streams.transcribe(batch)) == ["7", "3", "10 30.", "4"]
    assert engine.decoded == [1, 2]
    assert engine.batches == [[3, 4]]


def test_batch_may_hold_a_final_and_a_late_partial_of_one_utterance() -> None:
    engine, one = FakeStreamingEngine(), StreamKey()
    assert texts(UtteranceStreams(engine).transcribe([so_far(one, 50, ends=True), so_far(one, 40)])) == ["50.", "50."]
    assert engine.decoded == [1]


@pytest.mark.parametrize("error", [TranscriptionFailed("fake"), EngineUnavailable("fake"), MemoryError()])
def test_failed_utterance_is_decoded_from_the_start_again(error: Exception) -> None:
    engine, one, two = FakeStreamingEngine(), StreamKey(), StreamKey()
    streams = UtteranceStreams(engine)
    streams.transcribe([so_far(one, 10), so_far(two, 10)])
    engine.failures.append(error)
    with pytest.raises(type(error)):
        streams.transcribe([so_far(one, 20, ends=True)])
    assert texts(streams.transcribe([so_far(one, 20, ends=True), so_far(two, 20)])) == ["20.", "10 20"]


def test_streams_are_freed_with_their_utterances_and_the_engine() -> None:
    engine = FakeStreamingEngine()
    streams = UtteranceStreams(engine)
    held = StreamKey()
    streams.transcribe([so_far(held, 10)])
    for _ in range(5_000):
        streams.transcribe([so_far(StreamKey(), 10)])
        assert len(engine.streams) <= 2
    assert len(streams._utterances) == 2
    streams.close()
    assert len(engine.streams) == 0
    streams.close()
    assert engine.closed == 2


def test_only_an_engine_loaded_as_streaming_gets_streams() -> None:
    class Whole(FakeStreamingEngine):
        @property
        def info(self) -> EngineInfo:
            return FakeEngine.info.fget(self)  # type: ignore[attr-defined, no-any-return] # a property has it

    one = StreamKey()
    grows, whole, plain = (LoadedEngine.load(kind) for kind in (FakeStreamingEngine, Whole, FakeEngine))
    for engine, expected in ((grows, "10 30"), (whole, "30"), (plain, "30")):
        engine.transcribe([so_far(one, 10)])
        assert texts(engine.transcribe([so_far(one, 30)])) == [expected]


@dataclass
class GrowingUtterance:
    """A running utterance: its key, and its samples so far."""

    key: StreamKey = field(default_factory=StreamKey)
    samples: int = 1


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["partial", "partial", "late", "final", "short final", "fail"]),
        st.integers(0, 9),
    ),
    max_size=40,
)


@given(ACTIONS)
def test_transcripts_cover_the_whole_clip_after_drops_and_failures(
    actions: list[tuple[int, str, int]],
) -> None:
    engine = FakeStreamingEngine()
    streams = UtteranceStreams(engine)
    growing = [GrowingUtterance() for _ in range(3)]
    for number, action, more in actions:
        each = growing[number]
        if action == "fail":
            engine.failures = [TranscriptionFailed("fake")]
            with pytest.raises(TranscriptionFailed):
                streams.transcribe([so_far(each.key, each.samples, ends=True)])
            continue
        each.samples += more if action in ("partial", "final") else 0
        clip_samples = max(1, each.samples - more) if action in ("late", "short final") else each.samples
        ends = action.endswith("final")
        (transcript,) = streams.transcribe([so_far(each.key, clip_samples, ends=ends)])
        decoded = int(transcript.text.rstrip(".").split()[-1])
        assert decoded == clip_samples if action != "late" else clip_samples <= decoded <= each.samples
        assert transcript.text.endswith(".") is ends
        if ends:
            growing[number] = GrowingUtterance()
