"""What a client sent and nobody has heard yet: audio and the markers between it, in order, bounded.

It owns order and bounds only. Audio waits for room; it is shed only when the listener stands still. Where nothing else
waits, audio may be heard as it comes: to wake a task for it costs about what it takes to hear silence.
"""

import enum
from collections import deque
from collections.abc import Callable

import msgspec
import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.protocol.commands import Command, Flush

_WINDOW_US = WINDOW_SAMPLES * 1_000_000 // SAMPLE_RATE_HZ
SHED_AFTER_S = 1.0
"""Audio that found no room for this long takes the place of the oldest."""


class Audio(msgspec.Struct, frozen=True, eq=False):
    """Samples of one packet: int16, shape (n,), mono."""

    samples: NDArray[np.int16]
    rate_hz: int

    @property
    def length_us(self) -> int:
        """Length in whole microseconds: sums of it stay exact."""
        return self.samples.size * 1_000_000 // self.rate_hz


class Gap(enum.Enum):
    """Audio is missing here: what follows does not continue what came before."""

    GAP = enum.auto()


Marker = Command | Flush | Gap


class Inbox:
    """A bounded queue of audio and of what stands between it.

    Args:
        max_windows: Audio that may wait, in windows; a single packet may exceed it when nothing else waits.
        sheds: Whether audio that finds no room for `SHED_AFTER_S` displaces the oldest; else it waits.
    """

    def __init__(self, max_windows: int, *, sheds: bool = True) -> None:
        self._max_us = max_windows * _WINDOW_US
        self._patience_s = SHED_AFTER_S if sheds else float("inf")
        self._items: deque[Audio | Marker] = deque()
        self._waiting_us = 0
        self._filled = trio.Event()
        self._emptied = trio.Event()
        self._idle = trio.Event()  # the reader waits for more
        self._hear: Callable[[Audio], bool] | None = None  # the reader's, while it waits

    @property
    def windows(self) -> int:
        """Audio that waits, in whole windows."""
        return self._waiting_us // _WINDOW_US

    def put_marker(self, marker: Marker) -> None:
        """Queue a command or a gap behind the audio before it; never blocks."""
        self._items.append(marker)
        self._filled.set()

    async def put_audio(self, audio: Audio) -> int:
        """Queue audio when there is room, or have it heard at once.

        Returns:
            Windows of the oldest waiting audio that were shed to make room; 0 normally.
        """
        shed_us = 0
        if self._hear is not None and not self._items and self._hear(audio):
            return 0
        if not self._fits(audio):
            with trio.move_on_after(self._patience_s):
                while not self._fits(audio):
                    self._emptied = trio.Event()
                    await self._emptied.wait()
            shed_us = self._shed(self._waiting_us + audio.length_us - self._max_us)
            if shed_us and not (self._items and self._items[0] is Gap.GAP):
                self._items.appendleft(Gap.GAP)
        self._items.append(audio)
        self._waiting_us += audio.length_us
        self._filled.set()
        return -(-shed_us // _WINDOW_US)

    def _fits(self, audio: Audio) -> bool:
        return not self._waiting_us or self._waiting_us + audio.length_us <= self._max_us

    async def get(self, hear: Callable[[Audio], bool] | None = None) -> Audio | Marker:
        """The next item, in order of arrival; others have their turn first, also where one waits already.

        Args:
            hear: Takes audio that comes while this waits, in the turn of who puts it; or returns that it will not.
        """
        if self._items:
            await trio.lowlevel.checkpoint()
        while not self._items:
            self._idle.set()
            self._filled = trio.Event()
            self._hear = hear
            try:
                await self._filled.wait()
            finally:
                self._hear = None
        self._idle = trio.Event() if self._idle.is_set() else self._idle
        item = self._items.popleft()
        if isinstance(item, Audio):
            self._waiting_us -= item.length_us
            self._emptied.set()
        return item

    async def wait_idle(self) -> None:
        """Wait until all is taken and the reader is back for more."""
        while self._items:
            await self._idle.wait()
            await trio.lowlevel.checkpoint()
        await self._idle.wait()

    def drop_audio(self) -> None:
        """Forget all waiting audio; what stood between it stays."""
        self._shed(self._waiting_us)

    def _shed(self, length_us: int) -> int:
        """Drop the oldest audio of at least this length; returns the length dropped."""
        kept: deque[Audio | Marker] = deque()
        shed_us = 0
        for item in self._items:
            if isinstance(item, Audio) and shed_us < length_us:
                shed_us += item.length_us
            else:
                kept.append(item)
        self._items = kept
        self._waiting_us -= shed_us
        self._emptied.set()
        return shed_us
