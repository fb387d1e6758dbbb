"""Channels of sound files, as `trio-stt transcribe --channels` takes them: mixed, one of them, or each with a speaker.

It owns the order in which utterances of several channels are written.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from trio_stt.cli.transcribe_options import MIX
from trio_stt.errors import AudioFileError
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.sound.reader import Sound


def chosen_channels(sound: Sound, channels: str | int) -> tuple[int | None, ...]:
    """The channels of a sound to transcribe, from 1; None is the mix of all.

    Raises:
        AudioFileError: It lacks the channel.
    """
    if isinstance(channels, int):
        if channels > sound.channels:
            has = "1 channel" if sound.channels == 1 else f"{sound.channels} channels"
            raise AudioFileError(f"{sound.name}: has {has}; there is no channel {channels} (--channels)")
        return (channels,)
    return (None,) if channels == MIX or sound.channels == 1 else tuple(range(1, sound.channels + 1))


class ChannelMerger:
    """Puts the utterances of several channels in order of their start, and numbers them.

    An utterance waits until no other channel can have an earlier one: until each has a later one, or has ended.

    Args:
        channels: Numbers of the channels.
        on_segment: Called with each utterance.
    """

    def __init__(self, channels: Iterable[int], on_segment: Callable[[SpokenSegment], object]) -> None:
        self._waiting: dict[int, deque[SpokenSegment]] = {channel: deque() for channel in channels}
        self._open = set(self._waiting)
        self._on_segment = on_segment
        self._written = 0

    def add(self, channel: int, segment: SpokenSegment) -> None:
        """Take the next utterance of a channel."""
        self._waiting[channel].append(replace(segment, channel=channel))
        self._write()

    def end(self, channel: int) -> None:
        """Record that a channel has no further utterance."""
        self._open.discard(channel)
        self._write()

    def _write(self) -> None:
        while all(self._waiting[channel] for channel in self._open):
            first = min(filter(None, self._waiting.values()), key=lambda waiting: waiting[0].start, default=None)
            if first is None:
                return
            self._written += 1
            self._on_segment(replace(first.popleft(), segment_id=self._written))
