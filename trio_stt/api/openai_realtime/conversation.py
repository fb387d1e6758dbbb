"""The conversation of an OpenAI Realtime client: which utterances, commits and clears make which items.

A turn of speech detection is one utterance, or several where one was cut at its maximum length. Without turn
detection, an item has the utterances between two commits. `input_buffer` knows where commits and clears are,
`delivery` sends what the items have.

A `mark` behind each commit, and the answer to each clear, say that the session has reached it.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import count

from trio_stt.api.dialect import Frame, ToSession
from trio_stt.api.openai_realtime.delivery import Delivery
from trio_stt.api.openai_realtime.input_buffer import InputBuffer
from trio_stt.api.openai_realtime.items import Item, LiveText
from trio_stt.api.openai_realtime.server_events import ServerEvents
from trio_stt.protocol.commands import Flush
from trio_stt.protocol.event_objects import Segment, Where
from trio_stt.protocol.events import Clear, Error, Event, Final, Flushed, Realtime, Timeline
from trio_stt.session.connection import MARKED, Discard, Mark

_MAX_OPEN_COMMITS = 60
"""Commits whose speech waits to be transcribed; a session takes 64 flushes."""


class CommitRefused(Exception):  # noqa: N818 - named after what is refused
    """A commit is not possible.

    Attributes:
        code: For programs.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Spoken:
    """An utterance without its final.

    Attributes:
        item: That it belongs to; None if that was cleared.
        completes: Whether its final completes the item.
        text: Its live text.
        ended: Whether it has ended.
    """

    item: Item | None
    completes: bool
    text: LiveText = field(default_factory=LiveText)
    ended: bool = False


class Conversation:
    """The turns of one client.

    Args:
        events: Makes the events for the client.
        delivery: Of its items.
        manual: Whether turns end by commits only.

    Attributes:
        manual: As above. After a change, an open item ends as it began.
    """

    def __init__(self, events: ServerEvents, delivery: Delivery, *, manual: bool) -> None:
        self.manual = manual
        self._events = events
        self._delivery = delivery
        self._buffer = InputBuffer()
        self._flush_ids = count(1)
        self._flushes: deque[tuple[int, Item | None]] = deque()  # commits without their answer, and what they end
        self._spoken: dict[int, _Spoken] = {}
        self._turn: Item | None = None  # that runs
        self._open: Item | None = None  # without turn detection: not committed yet
        self._turns = 0  # that have ended
        self._cause = ""  # why the next segment that fails does

    # --- what the client does ---

    @property
    def has_audio(self) -> bool:
        """Whether audio was received that is neither committed nor cleared."""
        return self._buffer.has_audio

    def append(self, seconds: float) -> None:
        """Note that audio was received."""
        self._buffer.append(seconds)

    def commit(self) -> tuple[list[ToSession], list[Frame]]:
        """End what was said so far; returns what goes to the session, and the events for the client.

        Raises:
            CommitRefused: There is nothing to commit, or too many commits wait.
        """
        if self._buffer.is_empty and self._turn is None:
            raise CommitRefused(
                "input_audio_buffer_commit_empty",
                "the input audio buffer is empty: nothing was appended since the last commit or clear",
            )
        if len(self._flushes) >= _MAX_OPEN_COMMITS:
            raise CommitRefused("rate_limit_exceeded", f"more than {_MAX_OPEN_COMMITS} commits wait for their words")
        frames: list[Frame] = []
        item: Item | None = None
        is_manual = self._makes_items_by_commits
        if is_manual:
            item = self._open or self._delivery.open(self._buffer.begin_s)
            frames = self._delivery.commit(item, self._buffer.end_s)
            self._open = None
        flush_id = next(self._flush_ids)
        self._flushes.append((flush_id, item))
        self._buffer.cut(item, manual=is_manual, turns=self._turns)
        return [Flush(flush_id), Mark()], frames

    def clear(self) -> list[ToSession]:
        """Drop what is not committed; returns what goes to the session."""
        is_manual = self._makes_items_by_commits
        if self._open is not None:
            for spoken in self._spoken.values():
                if spoken.item is self._open:
                    spoken.item = None
            self._delivery.drop(self._open)
            self._open = None
        self._buffer.cut(None, manual=is_manual, turns=self._turns)
        return [Discard()]

    @property
    def _makes_items_by_commits(self) -> bool:
        """Whether what is spoken now waits for a commit."""
        return self._turn is None and (self.manual or self._open is not None)

    # --- what the session publishes ---

    def publish(self, event: Event) -> list[Frame]:
        """Translate an event of the session."""
        frames: list[Frame] = []
        match event:
            case Realtime():
                spoken = self._spoken.get(event.segment_id)
                if spoken is not None and spoken.item is not None:
                    spoken.text.grow(spoken.item, event.committed_stable_delta)
                    frames = self._delivery.due()
            case Timeline(segment_id=int(number), segment=Segment() as segment):
                frames = self._follow(event, number, segment)
            case Timeline(event=kind) if kind == MARKED:
                frames = self._reach_commit()
            case Final():
                frames = self._finish(event.segment_id, event)
            case Flushed():
                frames = self._answer_commit()
            case Clear():
                frames = self._reach_clear()
            case Error():
                frames = self._fail(event)
        return frames

    def _follow(self, event: Timeline, number: int, segment: Segment) -> list[Frame]:
        match event.event:
            case "recording_started":
                return self._start(number, segment)
            case "recording_ended":
                return self._end(number, segment)
            case "segment_closed":
                return [*self._end_unended(number), *self._finish(number, None, failed=event.reason == "failed")]
            case _:
                return []

    def _start(self, number: int, segment: Segment) -> list[Frame]:
        if self._turn is not None:  # an utterance was cut at its maximum length, and this one continues it
            self._spoken[number] = _Spoken(self._turn, completes=True)
            return []
        cut = self._buffer.next_cut
        if cut is not None and cut.manual:
            self._spoken[number] = _Spoken(cut.item, completes=False)
            return []
        if cut is None and self._makes_items_by_commits:
            self._open = self._open or self._delivery.open(self._buffer.begin_s)
            self._spoken[number] = _Spoken(self._open, completes=False)
            return []
        start_s, preroll = _seconds(segment.audio_start_seconds), segment.pre_recording_buffer
        included_s = preroll.included_seconds if preroll else 0.0
        self._turn = self._delivery.open(max(0.0, start_s - included_s))
        self._spoken[number] = _Spoken(self._turn, completes=True)
        return [self._events.speech_started(self._turn)]

    def _end(self, number: int, segment: Segment) -> list[Frame]:
        spoken = self._spoken.get(number)
        if spoken is None:
            return []
        spoken.ended = True
        if spoken.completes and segment.cut is True:
            spoken.completes = False
            return []
        if spoken.completes:
            speech_end_s, start_s = _seconds(segment.audio_end_seconds), _seconds(segment.audio_start_seconds)
            return self._end_turn(spoken, speech_end_s, start_s + _seconds(segment.duration_seconds))
        if self.manual or self._buffer.next_cut or spoken.item is None or spoken.item is not self._open:
            return []
        # Turn detection was switched on while this item was open: it ends with this utterance.
        spoken.completes = True
        self._open = None
        self._buffer.end_turn(self._buffer.end_s)
        return self._delivery.commit(spoken.item, self._buffer.end_s)

    def _end_turn(self, spoken: _Spoken, speech_end_s: float, end_s: float) -> list[Frame]:
        item = spoken.item
        if item is None:
            return []
        if self._buffer.next_cut is None:
            self._buffer.end_turn(max(end_s, self._buffer.begin_s))
        self._turn = None
        self._turns += 1
        return [self._events.speech_stopped(item, speech_end_s), *self._delivery.commit(item, speech_end_s)]

    def _end_unended(self, number: int) -> list[Frame]:
        """End a turn that is closed while it runs, after a failure."""
        spoken = self._spoken.get(number)
        if spoken is None or not spoken.completes or spoken.ended:
            return []
        return self._end_turn(spoken, self._buffer.end_s, self._buffer.end_s)

    def _finish(self, number: int, final: Final | None, *, failed: bool = False) -> list[Frame]:
        """Add the final of an utterance to its item."""
        spoken = self._spoken.pop(number, None)
        item = spoken.item if spoken else None
        if spoken is None or item is None:
            return []
        if failed:
            item.failure = item.failure or self._cause or "the transcription failed"
        elif final is not None:
            spoken.text.finish(item, final)
            item.finals.append(final)
        item.over = spoken.completes
        return self._delivery.due()

    def _reach_commit(self) -> list[Frame]:
        """The session has reached a commit: with turn detection it is an item without words if it ended no turn."""
        commit = self._buffer.reach_cut()
        if commit.item is not None or self._turns > commit.turns:
            return []
        rest = self._delivery.open(commit.begin_s)
        frames = self._delivery.commit(rest, commit.end_s)
        rest.over = True
        return [*frames, *self._delivery.due()]

    def _answer_commit(self) -> list[Frame]:
        """Everything that was said before a commit is transcribed."""
        _, item = self._flushes.popleft()
        if item is not None:
            item.over = True
        return self._delivery.due()

    def _reach_clear(self) -> list[Frame]:
        """The session has reached a clear: the turn that ran is gone, and gets no final; what was committed stays."""
        self._buffer.reach_cut()
        self._spoken = {number: spoken for number, spoken in self._spoken.items() if spoken.ended}
        if self._turn is not None:
            self._delivery.drop(self._turn)
            self._turn = None
        return [self._events.frame("input_audio_buffer.cleared"), *self._delivery.due()]

    def _fail(self, event: Error) -> list[Frame]:
        frames: list[Frame] = []
        match event.where:
            case Where.RECORDER:
                self._cause = event.message
            case Where.AUDIO:  # audio was refused, or could not be processed
                self._cause = event.message
                item = self._turn or self._open or self._delivery.open(self._buffer.begin_s)
                item.failure = item.failure or event.message
                if self._makes_items_by_commits:
                    self._open = item
                elif self._turn is None:
                    frames = self._delivery.commit(item, self._buffer.end_s)
                    item.over = True
                    frames += self._delivery.due()
            case Where.COMMAND if event.message.startswith("start language"):  # not for a prompt, which is only a hint
                param = "session.audio.input.transcription.language"
                frames = [self._events.error("unsupported_value", event.message, param=param)]
            case _:
                pass
        return frames


def _seconds(value: object) -> float:
    return value if isinstance(value, float) else 0.0
