"""When a session requests partials, which audio they cover, and how the lane's policy limits them; on virtual time."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trio
from numpy.typing import NDArray

from tests.lanes.fakes import FakeEngine, final, new_lane, partial, virtual_time
from tests.support.real import moonshine_asset
from tests.support.speech import read_16k
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES, kernels
from trio_stt.dsp.boundary import BoundaryDetector
from trio_stt.lanes.engines import base
from trio_stt.lanes.partial_policy import MAX_PARTIAL_INTERVAL_S, MIN_PARTIAL_WINDOW_S, PARTIAL_ROUND_S
from trio_stt.protocol.event_objects import State
from trio_stt.session.active_utterance import UtteranceHints
from trio_stt.session.context import SessionState
from trio_stt.session.counters import SessionCounters
from trio_stt.session.partials import Partials
from trio_stt.settings import Settings
from trio_stt.speech.cadence import CadenceConfig, PartialCadence
from trio_stt.speech.stabilizer import Stabilizer
from trio_stt.speech.stitching import Stitcher

PREROLL = SAMPLE_RATE_HZ // 2
LEAD_SAMPLES = 1280
"""Samples by which the first partial is requested before it may be shown."""
SILENCE = np.zeros(60 * SAMPLE_RATE_HZ, np.float32)


class FakeClient:
    """A stand-in for the publisher; `log` has what it published."""

    def __init__(self, state: SessionState) -> None:
        self.state = state
        self.log: list[str] = []

    def partial(self, *_: Any, **__: Any) -> None:
        self.log.append("partial")

    def warning(self, message: str) -> None:
        self.log.append(message)

    def current_status(self) -> None:
        self.log.append(self.state.published)


@dataclass
class Utterance:
    """The part of an `ActiveUtterance` that partials use."""

    cadence: PartialCadence
    number: int = 1
    stabilizer: Stabilizer = field(default_factory=Stabilizer)
    stitcher: Stitcher = field(default_factory=Stitcher)
    start_sample: int = 0
    trigger_sample: int = PREROLL
    running: bool = True
    silent: bool = False
    spoken: bool = True
    doubtful: bool = False
    stream_key: base.StreamKey = field(default_factory=base.StreamKey)
    hints: UtteranceHints = UtteranceHints(final=base.NO_HINTS, partial=base.NO_HINTS)  # noqa: RUF009 - frozen


class LiveUtterance:
    """An utterance whose audio comes in windows in real time, its pre-roll at once; and the lane of its partials.

    The engine takes `inference_s` for a partial, and 1 s for a clip of one sample, the final of another session.
    """

    def __init__(self, audio: NDArray[np.float32] = SILENCE, *, inference_s: float = 0.0) -> None:
        self.audio = audio
        self.engine = FakeEngine()
        self.lane = new_lane(
            self.engine,
            inference_s=lambda batch: 1.0 if len(batch[0]) == 1 else inference_s,
            degradation_threshold_s=lambda: 0.5,
        )
        state = SessionState(published=State.RECORDING)
        self.client = FakeClient(state)
        self.utterance: Utterance | None = None
        self.position = 0
        settings = Settings(max_realtime_queue_age_ms=60_000)
        context = SimpleNamespace(
            session_id="a",
            host=SimpleNamespace(settings=settings, lanes=SimpleNamespace(lane_for=lambda _: self.lane)),
            settings=settings,
            pipeline=SimpleNamespace(clip=self.read),
            counters=SessionCounters(),
            state=state,
        )
        self.partials = Partials(context, self.client)  # type: ignore[arg-type] # partials use nothing else of them

    def load_lane(self, session_id: str, *, clip_s: float) -> None:
        """Record a partial of another session: `clip_s` of audio that took the engine 0.4 s."""
        self.lane.partial_policy.record(
            session_id,
            now_s=trio.current_time(),
            inference_s=0.4,
            clip_s=clip_s,
            whole_s=clip_s,
            usual_pause_s=0.02,
        )

    def read(self, start: int, end: int) -> NDArray[np.float32]:
        assert 0 <= start <= end <= self.position
        return self.audio[start:end]

    def begin(self, **changes: Any) -> Utterance:
        cadence = PartialCadence(
            CadenceConfig.from_settings(Settings(**changes)),
            start_sample=0,
            trigger_sample=PREROLL,
            speech_sample=PREROLL,
        )
        self.utterance = Utterance(cadence)
        self.process(PREROLL)
        return self.utterance

    def process(self, samples: int) -> None:
        self.position += samples
        self.partials.update(self.utterance, self.position)  # type: ignore[arg-type] # partials use nothing else of it

    async def advance(self, seconds: float) -> None:
        for _ in range(round(seconds * SAMPLE_RATE_HZ / WINDOW_SAMPLES)):
            await trio.sleep(WINDOW_SAMPLES / SAMPLE_RATE_HZ)
            self.process(WINDOW_SAMPLES)
        await trio.testing.wait_all_tasks_blocked()

    async def start(self, nursery: trio.Nursery) -> None:
        await nursery.start(self.lane.run)
        nursery.start_soon(self.partials.run)


def windows_from(samples: int) -> int:
    """Position of the end of the window that completes this many samples after the trigger."""
    return PREROLL + -(-samples // WINDOW_SAMPLES) * WINDOW_SAMPLES


@pytest.mark.contract("5.1", "5.4")
@virtual_time
async def test_first_partial_waits_for_the_minimum_audio_and_includes_the_pre_roll(nursery: trio.Nursery) -> None:
    live = LiveUtterance()
    await live.start(nursery)
    live.begin(realtime_min_audio_seconds=0.5, realtime_processing_pause=0.2)
    await live.advance(2.0)
    assert live.engine.clips[0] == windows_from(8000 - LEAD_SAMPLES)
    assert np.diff(live.engine.clips).tolist() == [7 * WINDOW_SAMPLES] * 6  # the first whole windows of 0.2 s


@pytest.mark.contract("5.4")
@virtual_time
@pytest.mark.parametrize("inference_s", [0.0, 0.06, 0.2])
async def test_first_partial_is_shown_at_the_minimum_speech_or_when_ready(
    nursery: trio.Nursery, inference_s: float
) -> None:
    live = LiveUtterance(inference_s=inference_s)
    await live.start(nursery)
    live.begin(realtime_min_audio_seconds=0.5)
    window_s = WINDOW_SAMPLES / SAMPLE_RATE_HZ
    begun_s = trio.current_time()
    while not live.client.log:
        await live.advance(window_s)
    made_s = (windows_from(8000 - LEAD_SAMPLES) - PREROLL) / SAMPLE_RATE_HZ + inference_s
    shown_s = (windows_from(8000) - PREROLL) / SAMPLE_RATE_HZ
    assert trio.current_time() - begun_s == pytest.approx(max(shown_s, -(-made_s // window_s) * window_s))


@pytest.mark.contract("4.14", "5.4")
@virtual_time
@pytest.mark.parametrize("least_s", [0.0, 0.12])
async def test_early_first_partial_is_held_until_it_may_be_shown_on_a_full_lane(
    nursery: trio.Nursery, least_s: float
) -> None:
    live = LiveUtterance()
    await live.start(nursery)
    for number in range(10):  # enough sessions that the second partial of a session has to wait
        live.load_lane(str(number), clip_s=5.0)
    live.begin(realtime_min_audio_seconds=least_s)
    begun_s = trio.current_time()
    while not live.client.log:
        await live.advance(WINDOW_SAMPLES / SAMPLE_RATE_HZ)
    assert trio.current_time() - begun_s == pytest.approx(7 * WINDOW_SAMPLES / SAMPLE_RATE_HZ), "later than 0.2 s"


@virtual_time
async def test_pause_of_a_degraded_session_does_not_delay_its_first_partial(nursery: trio.Nursery) -> None:
    live = LiveUtterance()
    await live.start(nursery)
    live.load_lane("a", clip_s=5.0)
    for step_s in range(4):
        live.lane.partial_policy.observe_delay(trio.current_time() + step_s, 10.0)
    assert live.lane.partial_policy.is_degraded("a")
    live.begin(realtime_min_audio_seconds=0.0)  # so that the first partial is made too early to be shown
    begun_s = trio.current_time()
    while "partial" not in live.client.log:
        await live.advance(WINDOW_SAMPLES / SAMPLE_RATE_HZ)
    assert trio.current_time() - begun_s == pytest.approx(7 * WINDOW_SAMPLES / SAMPLE_RATE_HZ), "later than 0.2 s"
    made = len(live.engine.clips)
    await live.advance(0.5)
    assert len(live.engine.clips) == made, "the pause counts from the first partial"


@virtual_time
async def test_utterance_that_ends_before_the_minimum_shows_no_partial(nursery: trio.Nursery) -> None:
    live = LiveUtterance()
    await live.start(nursery)
    utterance = live.begin(realtime_min_audio_seconds=0.5)
    await live.advance(0.46)
    assert live.engine.clips == [windows_from(8000 - LEAD_SAMPLES)]
    utterance.running = False
    live.utterance = None
    await live.advance(1.0)
    assert live.client.log == []


@pytest.mark.contract("5.4", "11/33")
@virtual_time
async def test_partial_has_the_newest_audio_only(nursery: trio.Nursery) -> None:
    live = LiveUtterance()
    await live.start(nursery)
    live.begin(realtime_max_audio_seconds=2.0)
    await live.advance(4.0)
    assert live.engine.clips[0] == windows_from(4000 - LEAD_SAMPLES)
    assert max(live.engine.clips) == live.engine.clips[-1] == 2 * SAMPLE_RATE_HZ


@virtual_time
async def test_clip_shrinks_on_a_full_lane_and_its_start_never_moves_back(
    nursery: trio.Nursery,
) -> None:
    live = LiveUtterance()
    await live.start(nursery)
    live.begin()
    await live.advance(10.0)
    assert live.engine.clips[-1] >= 10 * SAMPLE_RATE_HZ
    for number in range(10):  # 10 more sessions whose partials of 10 s take 0.4 s each: more than fits into a round
        live.load_lane(str(number), clip_s=10.0)
    await live.advance(2.5)
    narrow = live.engine.clips[-1]
    assert narrow == MIN_PARTIAL_WINDOW_S * SAMPLE_RATE_HZ
    for number in range(10):
        live.lane.partial_policy.leave_round(str(number))
    await live.advance(3.0)
    assert narrow < live.engine.clips[-1] <= narrow + 5 * SAMPLE_RATE_HZ, "the start of the clip does not move back"


@virtual_time
async def test_full_lane_does_not_shrink_clips_of_the_whole_utterance(nursery: trio.Nursery) -> None:
    live = LiveUtterance()
    await live.start(nursery)
    live.begin(realtime_max_audio_seconds=0)
    for number in range(10):
        live.load_lane(str(number), clip_s=10.0)
    await live.advance(10.0)
    assert live.engine.clips[-1] >= 9 * SAMPLE_RATE_HZ


@virtual_time
async def test_idle_engine_of_a_full_lane_is_used_after_one_round(nursery: trio.Nursery) -> None:
    live = LiveUtterance()
    await live.start(nursery)
    live.begin()
    await live.advance(1.0)

    times_s = []
    for _ in range(3):
        for number in range(10):  # with ten other sessions, a round takes longer than the longest interval
            live.load_lane(str(number), clip_s=5.0)
        after = live.lane.partial_policy.next_partial("a", now_s=trio.current_time(), begun_s=0.0)
        assert after.at_s == MAX_PARTIAL_INTERVAL_S
        before = len(live.engine.clips)
        while len(live.engine.clips) == before:
            await live.advance(0.032)
        times_s.append(trio.current_time())
    assert PARTIAL_ROUND_S <= times_s[2] - times_s[1] < PARTIAL_ROUND_S + 0.1


@virtual_time
async def test_first_partial_of_an_utterance_has_priority_until_one_returned(
    nursery: trio.Nursery,
) -> None:
    live = LiveUtterance()
    await live.start(nursery)

    async def order_behind_others() -> list[str]:
        """The order in which the engine gets the queued jobs of the sessions, after it was busy for a second."""
        before = len(live.engine.clips)
        for job in (final("b"), partial("c", 2), partial("d", 3)):
            live.lane.submit(job)
        if live.utterance is None:
            live.begin()
        await live.advance(1.5)
        return ["bcd"[samples - 1] if samples <= 3 else "a" for samples in live.engine.clips[before : before + 4]]

    assert await order_behind_others() == ["b", "a", "c", "d"]
    assert await order_behind_others() == ["b", "c", "d", "a"]


@pytest.mark.contract("5.4")
@virtual_time
async def test_no_partial_is_made_during_silence_or_after_the_end(nursery: trio.Nursery) -> None:
    live = LiveUtterance()
    await live.start(nursery)
    utterance = live.begin()
    utterance.silent = True
    await live.advance(1.0)
    assert live.engine.clips == []
    utterance.silent = False
    await live.advance(0.1)
    before = len(live.engine.clips)
    assert before
    live.utterance = None
    await live.advance(1.0)
    assert len(live.engine.clips) == before


@virtual_time
async def test_next_utterance_waits_for_its_own_minimum_audio(nursery: trio.Nursery) -> None:
    live = LiveUtterance(inference_s=1.0)
    await live.start(nursery)
    live.begin()
    await live.advance(0.5)  # a partial is being transcribed, and the next one is due
    live.utterance = Utterance(
        PartialCadence(
            CadenceConfig.from_settings(Settings()),
            start_sample=live.position,
            trigger_sample=live.position,
            speech_sample=live.position,
        )
    )
    live.process(0)
    await trio.sleep(5.0)
    assert len(live.engine.clips) == 1


@pytest.mark.contract("5.2")
@virtual_time
async def test_syllable_boundaries_trigger_partials(nursery: trio.Nursery) -> None:
    audio = read_16k(moonshine_asset("two_cities.wav"))[: 6 * SAMPLE_RATE_HZ]
    live = LiveUtterance(audio)
    await live.start(nursery)
    live.begin(
        realtime_transcription_use_syllable_boundaries=True,
        realtime_boundary_followup_delays=(),
        realtime_processing_pause=0,
    )
    await live.advance(5.0)
    known = [each.decided_sample for each in BoundaryDetector(0.6).push(kernels.to_int16(audio[: live.position]))]
    first = windows_from(4000)
    expected = sorted({max(first, windows_from(position - PREROLL)) for position in known})
    assert len(expected) > 8
    assert live.engine.clips == expected


@pytest.mark.contract("5.4", "11/29")
@virtual_time
@pytest.mark.parametrize("syllables", [False, True])
async def test_overloaded_lane_slows_partials_down_and_the_client_is_warned(
    nursery: trio.Nursery, syllables: bool
) -> None:
    live = LiveUtterance(inference_s=0.032)
    await live.start(nursery)
    live.begin(realtime_transcription_use_syllable_boundaries=syllables, realtime_processing_pause=0.02)
    await live.advance(2.0)
    assert not live.client.state.degraded
    live.client.log.clear()
    for _ in range(8):
        live.lane.submit(final("b"))
    await live.advance(8.5)
    assert live.client.state.degraded
    assert [each for each in live.client.log if each != "partial"] == [
        "Partials come less often for a while: the server does not keep up.",
        State.RECORDING,
    ]
    # The queue is empty, and the pause keeps its longest value for another five seconds.
    before = len(live.engine.clips)
    await live.advance(4.5)
    assert 2 <= len(live.engine.clips) - before <= 3
    live.client.log.clear()
    await live.advance(8.0)
    assert not live.client.state.degraded
    assert [each for each in live.client.log if each != "partial"] == [State.RECORDING]
    assert np.diff(live.engine.clips[-10:]).max() <= 4 * WINDOW_SAMPLES


@virtual_time
async def test_ended_session_is_removed_from_the_policy(nursery: trio.Nursery) -> None:
    live = LiveUtterance(inference_s=0.032)
    await nursery.start(live.lane.run)
    async with trio.open_nursery() as session:
        session.start_soon(live.partials.run)
        live.begin()
        await live.advance(1.0)
        for _ in range(8):
            live.lane.submit(final("b"))
        await live.advance(2.0)
        assert live.lane.partial_policy.is_degraded("a")
        session.cancel_scope.cancel()
    assert not live.lane.partial_policy.is_degraded("a")
