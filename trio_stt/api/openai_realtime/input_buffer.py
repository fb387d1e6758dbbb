"""The input audio buffer of an OpenAI Realtime client: what was received, and where commits and clears have cut it.

Commits and clears pass through the session with the audio, which may wait there. Until the session has reached one,
what it publishes belongs before it.
"""

from collections import deque
from dataclasses import dataclass

from trio_stt.api.openai_realtime.items import Item

_MIN_AUTOMATIC_REST_S = 0.1
"""Audio behind a turn that ended by itself, below which a commit is empty: a packet reaches over the end of a turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A commit or clear that the session has not reached.

    Attributes:
        manual: Whether there was no turn detection.
        item: That a commit without turn detection ends; None otherwise.
        begin_s: Start of the audio before it that was neither committed nor cleared, in seconds.
        end_s: Its own position.
        turns: Turns that had ended when it came.
    """

    manual: bool
    item: Item | None
    begin_s: float
    end_s: float
    turns: int


class InputBuffer:
    """The buffer of one client; positions count seconds of audio since the session began.

    Attributes:
        begin_s: Where the audio begins that is neither committed nor cleared.
        end_s: Length of what was received.
    """

    def __init__(self) -> None:
        self.begin_s = 0.0
        self.end_s = 0.0
        self._begins_behind_turn = False  # a turn that ended by itself, not a commit or clear
        self._cuts: deque[Cut] = deque()

    @property
    def has_audio(self) -> bool:
        """Whether audio was received that is neither committed nor cleared."""
        return self.end_s > self.begin_s

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return self.end_s - self.begin_s <= (_MIN_AUTOMATIC_REST_S if self._begins_behind_turn else 0.0)

    @property
    def next_cut(self) -> Cut | None:
        """The commit or clear that the session reaches next; None if it has reached all."""
        return self._cuts[0] if self._cuts else None

    def append(self, seconds: float) -> None:
        """Note that audio was received."""
        self.end_s += seconds

    def end_turn(self, end_s: float) -> None:
        """Note that a turn was committed up to here by itself."""
        self.begin_s, self._begins_behind_turn = end_s, True

    def cut(self, item: Item | None, *, manual: bool, turns: int) -> None:
        """Note a commit or clear behind what was received; see `Cut`."""
        self._cuts.append(Cut(manual=manual, item=item, begin_s=self.begin_s, end_s=self.end_s, turns=turns))
        self.begin_s, self._begins_behind_turn = self.end_s, False

    def reach_cut(self) -> Cut:
        """Note that the session has reached the next commit or clear, and return it."""
        return self._cuts.popleft()
