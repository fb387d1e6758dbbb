"""The partials of one session: the latest audio of the running utterance, one job at a time.

It owns the rhythm of asking. It must not publish anything of an utterance that is over.
"""

import logging
from collections.abc import Callable

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.errors import EngineError, JobDropped, JobRefused
from trio_stt.lanes.job import Job, JobKind
from trio_stt.lanes.lane import Lane
from trio_stt.session.announcer import Announcer
from trio_stt.session.counters import SessionCounters
from trio_stt.session.recording import Recording

logger = logging.getLogger(__name__)

_FIRST_PUBLICATION_SAMPLES = round(0.2 * SAMPLE_RATE_HZ)
"""No partial is shown of an utterance younger than this. Contract, 4.14."""


class Partials:
    """One session's way to the lane of partials.

    Args:
        session_id: The session, as lanes know it.
        lane: Where partials are made.
        counters: Of the session.
        announcer: Of the session.
        max_age_s: Asked at every job: how long it may wait in the lane.
        read_clip: Gives the audio between two positions of the running utterance.
    """

    def __init__(
        self,
        *,
        session_id: str,
        lane: Lane,
        counters: SessionCounters,
        announcer: Announcer,
        max_age_s: Callable[[], float],
        read_clip: Callable[[int, int], NDArray[np.float32]],
    ) -> None:
        self._session_id = session_id
        self._lane = lane
        self._counters = counters
        self._announcer = announcer
        self._max_age_s = max_age_s
        self._read_clip = read_clip
        self._recording: Recording | None = None
        self._heard_to_sample = 0
        self._due = trio.Event()

    def heard(self, recording: Recording | None, end_sample: int) -> None:
        """Audio of the running utterance, or of none, was heard up to `end_sample`."""
        self._recording = recording
        self._heard_to_sample = end_sample
        if recording is not None and not recording.silent and recording.cadence.is_due(end_sample):
            self._due.set()

    async def run(self) -> None:
        """Publish partials until cancelled."""
        while True:
            await self._due.wait()
            self._due = trio.Event()
            recording = self._recording
            if recording is not None and recording.running and not recording.silent:
                await self._transcribe(recording, self._heard_to_sample)

    async def _transcribe(self, recording: Recording, end_sample: int) -> None:
        recording.cadence.taken(end_sample)
        job = Job(
            session_id=self._session_id,
            kind=JobKind.PARTIAL,
            samples=self._read_clip(recording.start_sample, end_sample),
            deadline_s=trio.current_time() + self._max_age_s(),
        )
        try:
            ticket = self._lane.submit(job)
            self._counters.realtime.submitted += 1
            result = await ticket.wait()
        except JobRefused:
            self._counters.realtime.rejected += 1
        except JobDropped as drop:
            self._counters.stale_realtime_discarded += drop.reason == "stale"
            self._counters.coalesced_realtime += drop.reason == "coalesced"
        except EngineError as error:
            logger.debug("session %s: a partial failed: %s", self._session_id, error)
        else:
            self._counters.realtime.deliver(result)
            text = recording.stabilizer.observe(result.transcript.text, audio_end_sample=end_sample)
            # The utterance may have ended or been cleared while the engine was at work.
            young = end_sample - recording.trigger_sample <= _FIRST_PUBLICATION_SAMPLES
            if text.raw and recording.running and not young:
                self._announcer.partial(recording, text, result)
