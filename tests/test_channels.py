"""Utterances of several channels: they are written in order of their start, none too early, and none is kept back."""

from hypothesis import given
from hypothesis import strategies as st

from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.server.sound_channels import ChannelMerger


def spoken(start: float) -> SpokenSegment:
    return SpokenSegment(file="a.wav", segment_id=7, start=start, end=start + 1, text="Yes.")


@given(st.lists(st.tuples(st.integers(1, 3), st.floats(0.1, 9))))
def test_utterances_are_in_order_and_numbered(pauses: list[tuple[int, float]]) -> None:
    written: list[SpokenSegment] = []
    merger = ChannelMerger((1, 2, 3), written.append)
    ends = dict.fromkeys((1, 2, 3), 0.0)
    for channel, pause in pauses:
        ends[channel] += pause
        merger.add(channel, spoken(ends[channel]))
    for channel in ends:
        merger.end(channel)
    assert [segment.segment_id for segment in written] == list(range(1, len(pauses) + 1))
    starts = [segment.start for segment in written]
    assert starts == sorted(starts)
    assert sorted(segment.channel or 0 for segment in written) == sorted(channel for channel, _ in pauses)


def test_an_utterance_is_written_as_soon_as_no_earlier_one_can_come() -> None:
    written: list[float] = []
    merger = ChannelMerger((1, 2), lambda segment: written.append(segment.start))
    merger.add(1, spoken(1.0))
    assert written == []
    merger.add(2, spoken(2.0))
    assert written == [1.0]
    merger.end(1)
    assert written == [1.0, 2.0]
