"""Speculative final of one session: a final that is transcribed before its utterance has ended.

It belongs to one utterance and one clip: it is used only if the utterance ends with exactly that clip.
"""

from collections.abc import Callable
from dataclasses import dataclass

from trio_stt.errors import JobRefused
from trio_stt.lanes.job import JobResult, Ticket
from trio_stt.session.counters import SessionCounters


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Clip:
    utterance_number: int
    end_sample: int
    ticket: Ticket


class Speculation:
    """The newest speculative final, until it is taken or void."""

    def __init__(self, counters: SessionCounters) -> None:
        self._counters = counters
        self._clip: _Clip | None = None

    def start(self, utterance_number: int, clip_end_sample: int, submit: Callable[[], Ticket]) -> Ticket | None:
        """Submit the final of a clip in place of the one before; None if the lane refuses it."""
        self.void()
        try:
            ticket = submit()
        except JobRefused:
            return None
        self._clip = _Clip(utterance_number=utterance_number, end_sample=clip_end_sample, ticket=ticket)
        return ticket

    def void(self) -> None:
        """Cancel it: the utterance goes on, or ends with another clip."""
        if self._clip is not None and self._clip.ticket.cancel():
            self._counters.cancelled_jobs += 1
        self._clip = None

    def forget(self) -> None:
        """Drop it without cancelling; the caller cancels all jobs of the session."""
        self._clip = None

    def take(self, utterance_number: int, clip_end_sample: int) -> Ticket | None:
        """Take the ticket, if it is for this clip of this utterance; any other is cancelled."""
        clip = self._clip
        if clip is None or (clip.utterance_number, clip.end_sample) != (utterance_number, clip_end_sample):
            self.void()
            return None
        self._clip = None
        return clip.ticket

    def take_result(self, clip_end_sample: int) -> JobResult | None:
        """Take the result for the clip that ends here, if it is there."""
        if self._clip is None or self._clip.end_sample != clip_end_sample:
            return None
        if (result := self._clip.ticket.result) is not None:
            self._clip = None
        return result
