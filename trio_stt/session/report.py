"""The report of one session in `/api/metrics`, made of its state and its counters.

See docs/protocol.md, The session object.
"""

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.metrics import Distribution
from trio_stt.protocol.reports import ByKind, SessionReport, Statistics
from trio_stt.session.context import SessionContext


def session_report(context: SessionContext) -> SessionReport:
    """The report; it holds no transcript text."""
    state, counters = context.state, context.counters
    utterance, partials, finals = state.utterance, counters.realtime, counters.final
    recorded_samples = context.pipeline.position_sample - utterance.trigger_sample if utterance else 0
    return SessionReport(
        session_id=context.session_id,
        streaming=state.streaming,
        recording=utterance is not None,
        state=state.published,
        wake_word_enabled=context.settings.wake_words_enabled,
        current_segment_id=utterance.segment_id if utterance else state.next_segment_id,
        current_segment=utterance.segment if utterance else None,
        queue_depth=context.queue_depth,
        recording_seconds=recorded_samples / SAMPLE_RATE_HZ,
        dropped_audio_chunks=counters.dropped_audio_chunks,
        rejected_audio_chunks=counters.rejected_audio_chunks,
        coalesced_realtime=counters.coalesced_realtime,
        stale_realtime_discarded=counters.stale_realtime_discarded,
        cancelled_jobs=counters.cancelled_jobs,
        realtime_submitted=partials.submitted,
        final_submitted=finals.submitted,
        realtime_completed=partials.completed,
        final_completed=finals.completed,
        realtime_rejected=partials.rejected,
        final_rejected=finals.rejected,
        forced_finalizations=counters.forced_finalizations,
        dropped_recorded_segments=0,  # finished utterances are never dropped
        suppressed_texts=counters.suppressed_texts,
        dropped_candidates=context.pipeline.dropped_candidates,
        queue_delay=_by_kind(partials.queue_delay, finals.queue_delay),
        inference_duration=_by_kind(partials.inference, finals.inference),
        total_latency=_by_kind(partials.total, finals.total),
    )


def _by_kind(realtime: Distribution, final: Distribution) -> ByKind:
    return ByKind(realtime=Statistics.of(realtime.snapshot()), final=Statistics.of(final.snapshot()))
