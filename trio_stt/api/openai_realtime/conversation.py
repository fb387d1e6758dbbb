"""The conversation of an OpenAI Realtime client: turns, commits and clears, and the items that they make.

A turn of speech detection is one utterance, or several where one was cut at its maximum length. Without turn
detection, an item has the utterances between two commits.

Commits and clears pass through the session with the audio, which may wait there. Until the session has reached one,
what it publishes belongs before it: a `mark` behind each commit, and the answer to each clear, say how far it is.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from trio_stt.api.dialect import Frame, ToSession
from trio_stt.api.openai_realtime.items import Item, Items, LiveText
from trio_stt.api.openai_realtime.server_events import ServerEvents
from trio_stt.protocol.commands import Flush
from trio_stt.protocol.event_objects import Segment, Where
from trio_stt.protocol.events import Clear, Error, Event, Final, Flushed, Realtime, Timeline
from trio_stt.session.connection import MARKED, Discard, Mark

_MIN_AUTOMATIC_REST_S = 0.1
"""Audio behind a turn that ended by itself, below which a commit is empty: a packet reaches over the end of a turn."""
_MAX_OPEN_COMMITS = 60
"""Commits whose speech waits to be transcribed; a session takes 64 flushes."""
_REMEMBERED_ITEMS = 256
"""Completed items that `conversation.item.retrieve` finds."""


class CommitRefused(Exception):  # noqa: N818 - named after what is refused
    """A commit is not possible.

    Attributes:
        code: For programs.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, eq=False)
class _Boundary:
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
    """The items of one client.

    Args:
        events: Makes the events for the client.
        new_id: Returns the id of the next item.
        manual: Whether turns end by commits only.

    Attributes:
        beta: Whether the client reads the events of the Beta.
        with_logprobs: Whether `completed` has log probabilities.
    """

    def __init__(
        self, events: ServerEvents, new_id: Callable[[], str], *, manual: bool, beta: bool, with_logprobs: bool
    ) -> None:
        self.beta = beta
        self.with_logprobs = with_logprobs
        self._events = events
        self._items = Items(new_id)
        self._completed: OrderedDict[str, Item] = OrderedDict()
        self._boundaries: deque[_Boundary] = deque()
        self._flush_ids = count(1)
        self._flushes: deque[tuple[int, Item | None]] = deque()  # commits without their answer, and what they end
        self._spoken: dict[int, _Spoken] = {}
        self._turn: Item | None = None  # that runs
        self._open: Item | None = None  # without turn detection: not committed yet
        self._wants_manual = manual
        self._manual = manual  # of what is spoken next; a change to turns waits until nothing else is open
        self._received_s = 0.0
        self._boundary_s = 0.0  # audio before it is committed or cleared
        self._automatic = False  # whether a turn that ended by itself made the boundary
        self._turns = 0  # that have ended
        self._cause = ""  # why the next segment that fails does

    # --- what the client does ---

    @property
    def has_audio(self) -> bool:
        """Whether audio was received that is neither committed nor cleared."""
        return self._received_s > self._boundary_s

    def append(self, seconds: float) -> None:
        """Note that audio was received."""
        self._received_s += seconds

    def detect_turns(self, *, manual: bool) -> None:
        """Change whether turns end by commits only; an open item ends as it began."""
        self._wants_manual = manual
        self._manual = self._manual or manual
        self._settle()

    def commit(self) -> tuple[list[ToSession], list[Frame]]:
        """End the open item; returns what goes to the session, and to the client.

        Raises:
            CommitRefused: There is no audio for an item, or too many commits wait.
        """
        rest_s = self._received_s - self._boundary_s
        if rest_s <= (_MIN_AUTOMATIC_REST_S if self._automatic else 0.0) and self._turn is None:
            raise CommitRefused(
                "input_audio_buffer_commit_empty",
                "the input audio buffer is empty: nothing was appended since the last commit or clear",
            )
        if len(self._flushes) >= _MAX_OPEN_COMMITS:
            raise CommitRefused("rate_limit_exceeded", f"more than {_MAX_OPEN_COMMITS} commits wait for their words")
        frames: list[Frame] = []
        item: Item | None = None
        if self._manual and self._turn is None:
            item = self._open or self._items.open(self._boundary_s)
            frames += self._commit(item, self._received_s)
            self._open = None
        flush_id = next(self._flush_ids)
        self._flushes.append((flush_id, item))
        self._add_boundary(item)
        return [Flush(flush_id), Mark()], frames

    def clear(self) -> list[ToSession]:
        """Drop what is not committed; returns what goes to the session."""
        if self._open is not None:
            for spoken in self._spoken.values():
                if spoken.item is self._open:
                    spoken.item = None
            self._items.drop(self._open)
            self._open = None
        self._add_boundary(None)
        return [Discard()]

    def find(self, item_id: object, *, delete: bool) -> Item | None:
        """A completed item, if it is remembered."""
        if not isinstance(item_id, str):
            return None
        return self._completed.pop(item_id, None) if delete else self._completed.get(item_id)

    # --- what the session publishes ---

    def publish(self, event: Event) -> list[Frame]:
        """Translate an event of the session."""
        frames: list[Frame] = []
        match event:
            case Realtime():
                spoken = self._spoken.get(event.segment_id)
                if spoken is not None and spoken.item is not None:
                    spoken.text.grow(spoken.item, event.committed_stable_delta)
                    frames = self._deliver()
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
        before = self._boundaries[0] if self._boundaries else None
        if before.manual if before else self._manual:
            if before is None:
                self._open = self._open or self._items.open(self._boundary_s)
            self._spoken[number] = _Spoken(before.item if before else self._open, completes=False)
            return []
        if self._turn is not None:  # an utterance was cut at its maximum length, and this one continues it
            self._spoken[number] = _Spoken(self._turn, completes=True)
            return []
        start_s, preroll = _seconds(segment.audio_start_seconds), segment.pre_recording_buffer
        included_s = preroll.included_seconds if preroll else 0.0
        self._turn = self._items.open(max(0.0, start_s - included_s))
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
        if self._wants_manual or self._boundaries or spoken.item is None or spoken.item is not self._open:
            return []
        # Turn detection was switched on while this item was open: it ends with this utterance.
        spoken.completes = True
        frames = self._commit(self._open, self._received_s)
        self._open = None
        self._set_boundary(self._received_s, automatic=True)
        return frames

    def _end_turn(self, spoken: _Spoken, speech_end_s: float, end_s: float) -> list[Frame]:
        item = spoken.item
        if item is None:
            return []
        if not self._boundaries:
            self._set_boundary(max(end_s, self._boundary_s), automatic=True)
        self._turn = None
        self._turns += 1
        return [self._events.speech_stopped(item, speech_end_s), *self._commit(item, speech_end_s)]

    def _end_unended(self, number: int) -> list[Frame]:
        """End a turn that is closed while it runs, after a failure."""
        spoken = self._spoken.get(number)
        if spoken is None or not spoken.completes or spoken.ended:
            return []
        return self._end_turn(spoken, self._received_s, self._received_s)

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
        return self._deliver()

    def _reach_commit(self) -> list[Frame]:
        """The session has reached a commit: with turn detection it is an item without words if it ended no turn."""
        commit = self._boundaries.popleft()
        if commit.item is not None or self._turns > commit.turns:
            return []
        rest = self._items.open(commit.begin_s)
        frames = self._commit(rest, commit.end_s)
        rest.over = True
        return [*frames, *self._deliver()]

    def _answer_commit(self) -> list[Frame]:
        """Everything that was said before a commit is transcribed."""
        _, item = self._flushes.popleft()
        if item is not None:
            item.over = True
        return self._deliver()

    def _reach_clear(self) -> list[Frame]:
        """The session has reached a clear: the turn that ran is gone, and gets no final; what was committed stays."""
        self._boundaries.popleft()
        self._spoken = {number: spoken for number, spoken in self._spoken.items() if spoken.ended}
        if self._turn is not None:
            self._items.drop(self._turn)
            self._turn = None
        return [self._events.frame("input_audio_buffer.cleared"), *self._deliver()]

    def _fail(self, event: Error) -> list[Frame]:
        frames: list[Frame] = []
        match event.where:
            case Where.RECORDER:
                self._cause = event.message
            case Where.AUDIO:  # audio was refused, or could not be processed
                self._cause = event.message
                item = self._turn or self._open or self._items.open(self._boundary_s)
                item.failure = item.failure or event.message
                if self._turn is None and self._manual:
                    self._open = item
                elif self._turn is None:
                    frames = self._commit(item, self._received_s)
                    item.over = True
                    frames += self._deliver()
            case Where.COMMAND if event.message.startswith("start language"):  # not for a prompt, which is only a hint
                param = "session.audio.input.transcription.language"
                frames = [self._events.error("unsupported_value", event.message, param=param)]
            case _:
                pass
        return frames

    # --- parts ---

    def _commit(self, item: Item, end_s: float) -> list[Frame]:
        self._items.commit(item, end_s)
        return [*self._events.committed(item, beta=self.beta)]

    def _add_boundary(self, item: Item | None) -> None:
        manual = self._manual and self._turn is None
        self._boundaries.append(
            _Boundary(manual=manual, item=item, begin_s=self._boundary_s, end_s=self._received_s, turns=self._turns)
        )
        self._set_boundary(self._received_s)

    def _set_boundary(self, position_s: float, *, automatic: bool = False) -> None:
        self._boundary_s, self._automatic = position_s, automatic
        self._settle()

    def _settle(self) -> None:
        """Switch to turns once no item without them is open."""
        self._manual = self._wants_manual or (self._manual and self._open is not None)

    def _deliver(self) -> list[Frame]:
        """What may be sent now: the text of the first item, and the ends of those that are over."""
        return list(self._deliver_each())

    def _deliver_each(self) -> Iterator[Frame]:
        while True:
            for item, delta in self._items.deltas():
                yield self._events.delta(item, delta)
            over = self._items.take_over()
            if over is None:
                return
            yield self._events.completed(over, with_logprobs=self.with_logprobs)
            self._completed[over.id] = over
            if len(self._completed) > _REMEMBERED_ITEMS:
                self._completed.popitem(last=False)


def _seconds(value: object) -> float:
    return value if isinstance(value, float) else 0.0
