"""The frames of a session that its server may lack, and the audio that has no final text yet. Sans-IO.

A session that resumes gets what its server lacks. A session that replaces a lost one also gets the audio since the last
final text, because its server has forgotten it.
"""

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from msgspec import UNSET

from trio_stt.protocol.events import Event, Final, Timeline, TurnResumed

KEPT_S = 60.0
"""Seconds of audio that are kept: longer than servers keep a session, by default 10 s, and than most utterances."""


@dataclass(slots=True)
class Frame:
    """A packet of audio, or a command.

    Attributes:
        content: As it is sent.
        number: Among the session's packets, or among its commands, from 1.
        duration_s: Of its audio; 0 for a command.
        end_s: Where its audio ends in that of the session; for a command, where the audio before it ends.
        sent: Whether it was sent, and the server may have it.
    """

    content: str | bytes
    number: int
    duration_s: float
    end_s: float
    sent: bool = False


class ResendBuffer:
    """The newest frames of one session."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._packets = self._commands = 0
        self._audio_s = self._kept_s = 0.0
        self._final_s = self._earlier_final_s = 0.0  # up to where the audio has final texts; and before the last one

    def add(self, content: str | bytes, duration_s: float = 0.0) -> Frame:
        """A frame to be sent."""
        if isinstance(content, str):
            self._commands += 1
        else:
            self._packets += 1
        self._audio_s += duration_s
        number = self._commands if isinstance(content, str) else self._packets
        frame = Frame(content, number, duration_s, self._audio_s)
        self._frames.append(frame)
        self._kept_s += duration_s
        while self._kept_s > KEPT_S:
            self._kept_s -= self._frames.popleft().duration_s
        return frame

    def note(self, event: Event) -> None:
        """Remember which audio has its final text, or will have none."""
        if isinstance(event, TurnResumed):
            self._final_s = self._earlier_final_s
        if not isinstance(event, Final) and not (isinstance(event, Timeline) and event.event == "segment_closed"):
            return
        end_s = UNSET if event.segment is UNSET else event.segment.audio_end_seconds
        if isinstance(end_s, float):
            self._earlier_final_s, self._final_s = self._final_s, max(self._final_s, end_s)

    def unsent(self) -> list[Frame]:
        """The frames to be sent, in order."""
        return [frame for frame in self._frames if not frame.sent]

    def resume(self, packets: int, commands: int) -> None:
        """The session goes on with a server that has so many frames: the others are to be sent again."""
        for frame in self._frames:
            frame.sent = frame.number <= (commands if isinstance(frame.content, str) else packets)

    def renew(self, start: str, counted: int, unanswered: AbstractSet[str | bytes]) -> None:
        """A new session replaces the lost one: all that has no final text is to be sent to it.

        Args:
            start: The command that it begins with.
            counted: How many commands it has counted already.
            unanswered: Commands to be sent again wherever they stood.
        """
        frames = list(self._frames)
        cleared = [i for i, frame in enumerate(frames) if isinstance(frame.content, str) and '"clear"' in frame.content]
        frames = frames[cleared[-1] + 1 :] if cleared else frames
        lacking = (i for i, frame in enumerate(frames) if not frame.sent or self._has_no_final(frame))
        first = next(lacking, len(frames))
        again = [frame for frame in frames[:first] if frame.content in unanswered] + frames[first:]
        self.__init__()  # type: ignore[misc] # everything starts anew
        self._commands = counted
        self.add(start)
        for frame in again[again[:1] != [] and again[0].content == start :]:
            self.add(frame.content, frame.duration_s)

    def _has_no_final(self, frame: Frame) -> bool:
        return frame.duration_s > 0 and frame.end_s > self._final_s
