"""Received audio and commands that are not processed yet: a bounded queue, in order of arrival.

Commands always fit. Audio waits for room, so that its client is slowed down; after `SHED_AFTER_S` without room, the
oldest audio is shed instead.
"""

import enum
from collections import deque

import msgspec
import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.protocol.commands import Command, Flush, Start
from trio_stt.session.connection import Detection, Discard, Mark

_WINDOW_US = WINDOW_SAMPLES * 1_000_000 // SAMPLE_RATE_HZ
"""Microseconds of one window of the speech detector, in which the bound of the queue is given."""
SHED_AFTER_S = 1.0
"""Seconds that audio waits for room before it replaces the oldest audio."""
_WAIT_SLICES = 4


class Audio(msgspec.Struct, frozen=True, eq=False):
    """Samples of one packet: int16, shape (n,), mono."""

    samples: NDArray[np.int16]
    rate_hz: int

    @property
    def length_us(self) -> int:
        """Length in whole microseconds, so that sums are exact."""
        return self.samples.size * 1_000_000 // self.rate_hz


class Gap(enum.Enum):
    """The utterance ends here: what follows does not continue it."""

    GAP = enum.auto()
    """Audio is missing, or none will come."""
    SPEAKER_TAKEN = enum.auto()
    """Another session took the speaker slot while the client was disconnected."""


Marker = Command | Start | Flush | Discard | Detection | Mark | Gap


class Inbox:
    """A bounded queue of audio and of markers between it, with one reader.

    Args:
        max_windows: Audio that may wait, in windows; a single packet may exceed it when no other waits.
        sheds: Whether audio that finds no room for `SHED_AFTER_S` replaces the oldest; otherwise it waits.
    """

    def __init__(self, max_windows: int, *, sheds: bool = True) -> None:
        self._max_us = max_windows * _WINDOW_US
        self._max_wait_s = SHED_AFTER_S if sheds else float("inf")
        self._items: deque[Audio | Marker] = deque()
        self._queued_us = 0
        self._filled = trio.Event()
        self._taken = trio.Event()
        self._idle = trio.Event()  # set while the reader waits for more
        self._reader_waits = False

    @property
    def queued_windows(self) -> int:
        """Queued audio, in whole windows."""
        return self._queued_us // _WINDOW_US

    @property
    def reader_is_idle(self) -> bool:
        """Whether nothing is queued and the reader waits for more."""
        return self._reader_waits and not self._items

    def put_marker(self, marker: Marker) -> None:
        """Queue a command or a gap behind the audio before it; never blocks."""
        self._items.append(marker)
        self._filled.set()

    async def put_audio(self, audio: Audio) -> int:
        """Queue audio when there is room for it.

        Returns:
            Windows of the oldest queued audio that were shed to make room; usually 0.
        """
        shed_us = 0
        if not self._fits(audio):
            while not self._fits(audio) and await self._wait_taken():
                pass
            shed_us = self._shed(self._queued_us + audio.length_us - self._max_us)
            # One gap before the oldest audio left: the utterance that was running must not continue with it.
            if shed_us and not (self._items and self._items[0] is Gap.GAP):
                self._items.appendleft(Gap.GAP)
        self._items.append(audio)
        self._queued_us += audio.length_us
        self._filled.set()
        return -(-shed_us // _WINDOW_US)

    async def _wait_taken(self) -> bool:
        """Wait until an item is taken; returns False if none was taken within `SHED_AFTER_S`.

        It waits in slices, so that the reader runs between them. One long wait would be over, before the reader had its
        turn, after any stall of the event loop of that length.
        """
        self._taken = trio.Event()
        for _ in range(_WAIT_SLICES):
            with trio.move_on_after(self._max_wait_s / _WAIT_SLICES):
                await self._taken.wait()
                return True
        return False

    def _fits(self, audio: Audio) -> bool:
        return not self._queued_us or self._queued_us + audio.length_us <= self._max_us

    async def get(self) -> Audio | Marker:
        """The next item, in order of arrival. Always a checkpoint, so that a full inbox does not block other tasks."""
        if self._items:
            await trio.lowlevel.checkpoint()
        while not self._items:
            self._idle.set()
            self._filled = trio.Event()
            self._reader_waits = True
            try:
                await self._filled.wait()
            finally:
                self._reader_waits = False
        if self._idle.is_set():
            self._idle = trio.Event()
        item = self._items.popleft()
        if isinstance(item, Audio):
            self._queued_us -= item.length_us
            self._taken.set()
        return item

    async def wait_idle(self) -> None:
        """Wait until all items are taken and the reader is back for more."""
        while self._items:
            # `_idle` stays set until the reader runs: the checkpoint lets it run, instead of spinning here.
            await self._idle.wait()
            await trio.lowlevel.checkpoint()
        await self._idle.wait()

    def drop_audio(self) -> None:
        """Discard all queued audio; markers stay."""
        self._shed(self._queued_us)

    def _shed(self, length_us: int) -> int:
        """Discard the oldest audio of at least this length; returns the length discarded."""
        kept: deque[Audio | Marker] = deque()
        shed_us = 0
        for item in self._items:
            if isinstance(item, Audio) and shed_us < length_us:
                shed_us += item.length_us
            else:
                kept.append(item)
        self._items = kept
        self._queued_us -= shed_us
        self._taken.set()
        return shed_us
