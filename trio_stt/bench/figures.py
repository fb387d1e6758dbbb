"""Figures of a run, computed from its clients' records and the reference speech of their clips.

It owns the arithmetic and the meaning of each figure. Pure: it must not read clocks, files or processes.

The delay of a final is the time from the last spoken sample before it until it arrived. It includes packets, silence,
engine and network. The reference speech, found in the clean clips before the run, says which sample that is; the server
does not.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from trio_stt.bench.client_record import ClientRecord, ObservedUtterance, RunResult
from trio_stt.bench.speech_plan import Clip
from trio_stt.bench.words import plain_words, word_errors

_EARLIEST_END_S = 0.25
"""No server ends an utterance sooner than this after its last word."""
_DEFAULT_SILENCE_S = 0.55


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Nearest-rank percentiles of a list of times, in milliseconds; zeros if the list is empty."""

    count: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


class ServerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Resource use of the server's process while all clients were connected.

    Attributes:
        cpu_s_per_audio_s: CPU seconds per second of audio sent.
        cores: CPU seconds per second.
        off_loop_share: Share of the CPU time outside the first thread; in a trio-stt server, its engines.
        rss_mib: Resident memory at the end.
        rss_growth_mib: Growth of the resident memory.
        threads: Threads at the end.
        descriptors: Open files and sockets at the end.
    """

    cpu_s_per_audio_s: float
    cores: float
    off_loop_share: float
    rss_mib: float
    rss_growth_mib: float
    threads: int
    descriptors: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of a run.

    Attributes:
        clients: Clients of the plan.
        connected: Clients that received a `hello`.
        audio_s: Audio sent by all clients.
        segments: Utterances that the server detected.
        unfinished_segments: Utterances that neither got a final nor were closed.
        cut_segments: Utterances that ended during speech; the delay of their final is undefined.
        word_error_rate: Word errors per reference word; None if the words of a clip are unknown.
        reference_words: Number of words spoken.
        silence_ms: The server's silence setting, or its default if the server does not report it.
        final: Time from the last spoken sample to the final.
        first_partial: Time from the first spoken sample to the first partial.
        partial_interval: Time between two partials of an utterance.
        partials_per_s: Partials per second of speech.
        revised_words_per_shown_word: Words changed or removed on the screen, per word shown.
        ping: Time from `ping` to `pong`; each client sends one every `ping_every_s` of the plan.
        hello: Time from the connection attempt to `hello`.
        sent_late: How late clients sent their packets. All other times are too long by about this.
        clients_cpu_s_per_audio_s: CPU seconds of the clients themselves per second of audio sent.
        dropped_s: Audio that the server dropped or rejected.
        failures: Messages of failures, at most ten.
        server: None if its process is unknown.
    """

    clients: int
    connected: int
    audio_s: float
    segments: int
    unfinished_segments: int
    cut_segments: int
    word_error_rate: float | None
    reference_words: int
    silence_ms: float
    final: Percentiles
    first_partial: Percentiles
    partial_interval: Percentiles
    partials_per_s: float
    revised_words_per_shown_word: float
    ping: Percentiles
    hello: Percentiles
    sent_late: Percentiles
    clients_cpu_s_per_audio_s: float
    dropped_s: float
    failures: list[str]
    server: ServerFigures | None


def percentiles(times_s: Sequence[float]) -> Percentiles:
    """Compute the percentiles of a list of times."""
    if not times_s:
        return Percentiles()
    ordered = sorted(times_s)

    def rank_ms(fraction: float) -> float:
        return round(ordered[round((len(ordered) - 1) * fraction)] * 1000, 1)

    return Percentiles(
        count=len(ordered), p50_ms=rank_ms(0.5), p95_ms=rank_ms(0.95), p99_ms=rank_ms(0.99), max_ms=rank_ms(1.0)
    )


class _Delays:
    """Delays of the finals and first partials of one client."""

    def __init__(self, record: ClientRecord, clips: Sequence[Clip], *, from_s: float) -> None:
        self.finals_s: list[float] = []
        self.first_partials_s: list[float] = []
        self.cut = 0
        stretches = [
            (at_s + start_s, at_s + end_s) for clip, at_s in record.clips for start_s, end_s in clips[clip].speech
        ]
        self._starts = [start for start, _ in stretches]
        self._ends = [end for _, end in stretches]
        used = -1
        for segment in record.segments:
            if segment.started_s >= from_s:
                self._add_final(segment)
            spoken = bisect_right(self._starts, segment.started_s) - 1
            if segment.started_s >= from_s and spoken > used and segment.partials_s:
                self.first_partials_s.append(segment.partials_s[0] - self._starts[spoken])
            # A segment that begins with a cut in running speech has no first spoken sample.
            used = max(used, bisect_left(self._starts, segment.ended_s or segment.started_s) - 1)

    def _add_final(self, segment: ObservedUtterance) -> None:
        if segment.ended_s is None or segment.final_s is None:
            return
        spoken = bisect_right(self._starts, segment.ended_s - _EARLIEST_END_S) - 1
        if spoken < 0 or self._ends[spoken] > segment.ended_s:
            self.cut += 1
        else:
            self.finals_s.append(segment.final_s - self._ends[spoken])


def figures(result: RunResult) -> Figures:
    """Compute all figures of a run."""
    clips, records = result.plan.clips, result.records
    delays = [_Delays(record, clips, from_s=_steady_from_s(result, record)) for record in records]
    segments = [segment for record in records for segment in record.segments]
    errors, words, known = _wrong_words(records, clips)
    spoken_s = sum(end - start for record in records for clip, _ in record.clips for start, end in clips[clip].speech)
    partials = sum(len(segment.partials_s) for segment in segments)
    audio_s = sum(record.audio_s for record in records)
    silences = [record.silence_s for record in records if record.silence_s is not None]
    return Figures(
        clients=len(result.plan.clients),
        connected=sum(record.hello_s is not None for record in records),
        audio_s=round(audio_s, 2),
        segments=len(segments),
        unfinished_segments=sum(segment.final_s is None and not segment.closed for segment in segments),
        cut_segments=sum(client_delays.cut for client_delays in delays),
        word_error_rate=round(errors / words, 4) if known and words else None,
        reference_words=words,
        silence_ms=(silences[0] if silences else _DEFAULT_SILENCE_S) * 1000,
        final=percentiles([time_s for client_delays in delays for time_s in client_delays.finals_s]),
        first_partial=percentiles([time_s for client_delays in delays for time_s in client_delays.first_partials_s]),
        partial_interval=percentiles(list(_intervals(segments))),
        partials_per_s=round(partials / spoken_s, 2) if spoken_s else 0.0,
        revised_words_per_shown_word=_revised(segments),
        ping=percentiles([time_s for record in records for time_s in record.pings_s]),
        hello=percentiles([record.hello_s for record in records if record.hello_s is not None]),
        sent_late=percentiles([time_s for record in records for time_s in record.late_s]),
        clients_cpu_s_per_audio_s=round(result.clients_cpu_s / audio_s, 5) if audio_s else 0.0,
        dropped_s=round(sum(record.dropped_s for record in records), 3),
        failures=[failure for record in records for failure in record.failures][:10],
        server=_server(result),
    )


def _steady_from_s(result: RunResult, record: ClientRecord) -> float:
    """When all clients were connected, on this client's clock."""
    return result.plan.begin_s + result.steady_from_s - (record.begun_s or 0.0)


def _intervals(segments: Sequence[ObservedUtterance]) -> Iterator[float]:
    for segment in segments:
        yield from (later - earlier for earlier, later in pairwise(segment.partials_s))


def _revised(segments: Sequence[ObservedUtterance]) -> float:
    shown = sum(segment.shown_words for segment in segments)
    return round(sum(segment.revised_words for segment in segments) / shown, 4) if shown else 0.0


def _wrong_words(records: Sequence[ClientRecord], clips: Sequence[Clip]) -> tuple[int, int, bool]:
    """Word errors and words of all clients, each client's finals against its clips; and whether all words are known."""
    errors, words = 0, 0
    for record in records:
        spoken_words = [word for clip, _ in record.clips for word in plain_words(clips[clip].words or "")]
        transcribed_words = [word for segment in record.segments for word in plain_words(segment.text)]
        errors += word_errors(spoken_words, transcribed_words)
        words += len(spoken_words)
    return errors, words, all(clip.words is not None for clip in clips)


def _sent_s(result: RunResult, record: ClientRecord) -> float:
    """Audio that a client really sent between the two measurements; an overloaded server receives less."""
    packet_s = result.plan.packet_samples / result.plan.rate_hz
    from_s = _steady_from_s(result, record)
    to_s = from_s + result.plan.duration_s - result.steady_from_s
    sent_s = ((number * packet_s + late_s) for number, late_s in enumerate(record.late_s, 1))
    return packet_s * sum(from_s <= moment_s < to_s for moment_s in sent_s)


def _server(result: RunResult) -> ServerFigures | None:
    before, after = result.before, result.after
    if before is None or after is None:
        return None
    seconds = result.plan.duration_s - result.steady_from_s
    audio_s = sum(_sent_s(result, record) for record in result.records)
    cpu_s = after.cpu_s - before.cpu_s
    loop_s = after.main_thread_cpu_s - before.main_thread_cpu_s
    return ServerFigures(
        cpu_s_per_audio_s=round(cpu_s / audio_s, 5) if audio_s else 0.0,
        cores=round(cpu_s / seconds, 3),
        off_loop_share=round(max(0.0, cpu_s - loop_s) / cpu_s, 3) if cpu_s else 0.0,
        rss_mib=round(after.rss_bytes / 2**20, 1),
        rss_growth_mib=round((after.rss_bytes - before.rss_bytes) / 2**20, 1),
        threads=after.threads,
        descriptors=after.descriptors,
    )
