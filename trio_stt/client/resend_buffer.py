"""The frames of a session that its server may lack, and the audio that has no final text yet. Sans-IO.

A session that resumes gets what its server lacks. A session that replaces a lost one also gets the audio since the last
final text, because its server has forgotten it.
"""

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from msgspec import UNSET

from trio_stt.protocol.events import Event, Final, Heartbeat, Timeline, TurnResumed

MAX_BYTES = 16 << 20
"""Most bytes of frames: 8 min of audio at 16 kHz. Sockets hold up to 6 MB that were sent and may still be lost."""
AGAIN_S = 60.0
"""Seconds of audio without a final text that a new session gets again: most utterances are shorter, and the rest is
silence."""
_FRAME_BYTES = 200
"""Memory of a frame beside its content."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A packet of audio, or a command.

    Attributes:
        content: As it is sent.
        number: Among the session's packets, or among its commands, from 1.
        duration_s: Of its audio; 0 for a command.
        end_s: Where its audio ends in that of the session; for a command, where the audio before it ends.
    """

    content: str | bytes
    number: int
    duration_s: float
    end_s: float

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return len(self.content) + _FRAME_BYTES


class ResendBuffer:
    """The newest frames of one session."""

    def __init__(self) -> None:
        self._sent: deque[Frame] = deque()  # the server may have them
        self._unsent: deque[Frame] = deque()
        self._sent_bytes = self._unsent_bytes = 0
        self._packets = self._commands = 0
        self._dropped_packet = 0  # number of the last packet that was dropped
        self._audio_s = 0.0
        self._received_s = 0.0  # of the audio, as the server says
        self._final_s = self._earlier_final_s = 0.0  # up to where the audio has final texts; and before the last one

    @property
    def is_full(self) -> bool:
        """Whether too much waits to be sent: no more is to be added."""
        return self._unsent_bytes > MAX_BYTES

    @property
    def next_frame(self) -> Frame | None:
        """The next frame to be sent."""
        return self._unsent[0] if self._unsent else None

    def add(self, content: str | bytes, duration_s: float = 0.0) -> None:
        """Add a frame to be sent."""
        if isinstance(content, str):
            self._commands += 1
        else:
            self._packets += 1
        self._audio_s += duration_s
        number = self._commands if isinstance(content, str) else self._packets
        frame = Frame(content, number, duration_s, self._audio_s)
        self._unsent.append(frame)
        self._unsent_bytes += frame.size_bytes

    def mark_sent(self) -> None:
        """Note that `next_frame` was sent. Old frames that were sent give way; those that were not, never do."""
        frame = self._unsent.popleft()
        self._unsent_bytes -= frame.size_bytes
        self._sent.append(frame)
        self._sent_bytes += frame.size_bytes
        while self._sent_bytes > MAX_BYTES:
            dropped = self._sent.popleft()
            self._sent_bytes -= dropped.size_bytes
            if isinstance(dropped.content, bytes):
                self._dropped_packet = dropped.number

    def note(self, event: Event) -> None:
        """Remember what the server has received, and which audio has its final text, or will have none."""
        if isinstance(event, Heartbeat):
            self._received_s = event.audio_received_seconds
        if isinstance(event, TurnResumed):
            self._final_s = self._earlier_final_s
        if not isinstance(event, Final) and not (isinstance(event, Timeline) and event.event == "segment_closed"):
            return
        end_s = UNSET if event.segment is UNSET else event.segment.audio_end_seconds
        if isinstance(end_s, float):
            self._earlier_final_s, self._final_s = self._final_s, max(self._final_s, end_s)

    def resume(self, packets: int, commands: int) -> int:
        """Go on with a server that has this number of frames; the others are to be sent again.

        Returns:
            How many packets it lacks that are kept no more.
        """
        frames = [*self._sent, *self._unsent]
        has = [frame.number <= (commands if isinstance(frame.content, str) else packets) for frame in frames]
        self._sent = deque(frame for frame, received in zip(frames, has, strict=True) if received)
        self._unsent = deque(frame for frame, received in zip(frames, has, strict=True) if not received)
        self._sent_bytes, self._unsent_bytes = (
            sum(frame.size_bytes for frame in part) for part in (self._sent, self._unsent)
        )
        return max(0, self._dropped_packet - packets)

    def renew(self, start: str, counted: int, unanswered: AbstractSet[str | bytes]) -> None:
        """Go on with a new session, which replaces the lost one: all that has no final text is to be sent to it.

        Args:
            start: The command that it begins with.
            counted: How many commands it has counted already.
            unanswered: Commands to be sent again wherever they stood.
        """
        frames, first = [*self._sent, *self._unsent], 0
        for number, frame in enumerate(frames):
            if isinstance(frame.content, str) and '"clear"' in frame.content:
                first = number + 1
        lacking = (i for i in range(first, len(frames)) if i >= len(self._sent) or self._is_needed(frames[i]))
        begin = next(lacking, len(frames))
        again = [frame for frame in frames[first:begin] if frame.content in unanswered] + frames[begin:]
        self.__init__()  # type: ignore[misc] # everything starts anew
        self._commands = counted
        self.add(start)
        if again and again[0].content == start:
            del again[0]
        for frame in again:
            self.add(frame.content, frame.duration_s)

    def _is_needed(self, frame: Frame) -> bool:
        has_final = frame.end_s <= self._final_s
        is_old = frame.end_s <= min(self._audio_s - AGAIN_S, self._received_s)
        return frame.duration_s > 0 and not has_final and not is_old
