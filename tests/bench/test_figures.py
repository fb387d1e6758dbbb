import msgspec
import pytest

from tests.bench.sample_runs import CLIP, record, run_result, segment
from trio_stt.bench.figures import figures, percentiles
from trio_stt.bench.process import ProcessUse

FIRST = segment(1, 1.7, 3.55, 3.6, "one two three", partials_s=[2.0, 2.3, 2.7], shown_words=4, revised_words=1)
SECOND = segment(2, 4.1, 6.0, 6.3, "four five")


def test_delay_of_final_counts_from_last_spoken_sample() -> None:
    final = figures(run_result(record(FIRST, SECOND))).final
    assert (final.count, final.p50_ms, final.max_ms) == (2, 600.0, 800.0)


def test_utterance_cut_during_speech_has_no_delay() -> None:
    result = figures(run_result(record(segment(1, 1.7, 2.5, 2.6, "one two"), segment(2, 2.5, 3.6, 3.7, "three"))))
    assert result.cut_segments == 1
    assert (result.final.count, result.final.max_ms) == (1, 700.0)


def test_first_partial_counts_from_first_spoken_sample() -> None:
    first = figures(run_result(record(FIRST, SECOND))).first_partial
    assert (first.count, first.max_ms) == (1, 500.0)


def test_segment_after_a_cut_has_no_first_partial() -> None:
    cut = segment(1, 1.7, 2.5, 2.6, "one", partials_s=[2.0])
    rest = segment(2, 2.5, 3.6, 3.7, "two three", partials_s=[2.9])
    first = figures(run_result(record(cut, rest))).first_partial
    assert (first.count, first.max_ms) == (1, 500.0)


def test_delay_of_utterance_with_two_phrases_counts_from_the_second() -> None:
    whole = segment(1, 1.7, 6.0, 6.1, "one two three four five", partials_s=[2.0])
    assert figures(run_result(record(whole))).final.max_ms == 600.0


def test_segments_before_all_clients_are_connected_have_no_times() -> None:
    result = figures(run_result(record(FIRST, SECOND), steady_from_s=4.0))
    assert (result.final.count, result.final.max_ms) == (1, 800.0)
    assert result.first_partial.count == 0
    assert result.word_error_rate == 0.0  # words always count


def test_word_error_rate_covers_all_clients() -> None:
    wrong = segment(1, 1.7, 6.0, 6.1, "one too three four")
    result = figures(run_result(record(FIRST, SECOND), record(wrong, number=1)))
    assert (result.word_error_rate, result.reference_words) == (0.2, 10)


def test_without_reference_words_there_is_no_error_rate() -> None:
    clip = msgspec.structs.replace(CLIP, words=None)
    assert figures(run_result(record(FIRST, SECOND), clip=clip)).word_error_rate is None


def test_partials_and_revisions() -> None:
    result = figures(run_result(record(FIRST, SECOND)))
    assert (result.partial_interval.count, result.partial_interval.max_ms) == (2, 400.0)
    assert result.partials_per_s == 1.0
    assert result.revised_words_per_shown_word == 0.25


def test_failures_are_reported() -> None:
    lost = segment(1, 1.7, 3.5, None, "")
    closed = segment(2, 4.1, 6.0, None, "", closed=True)
    absent = record(number=1, hello_s=None, begun_s=None, clips=[], failures=["connection: refused"])
    result = figures(run_result(record(lost, closed, dropped_s=0.32), absent))
    assert (result.unfinished_segments, result.dropped_s, result.connected, result.clients) == (1, 0.32, 1, 2)
    assert result.failures == ["connection: refused"]


def test_server_cost_is_cpu_time_between_the_two_measurements() -> None:
    def use(cpu_s: float, loop_s: float) -> ProcessUse:
        return ProcessUse(cpu_s=cpu_s, main_thread_cpu_s=loop_s, rss_bytes=2**20, threads=4, descriptors=9)

    punctual = record(late_s=[0.0] * 250)  # ten seconds of packets, the last exactly at the end
    overloaded = record(number=1, late_s=[0.0] * 125 + [60.0] * 125)
    server = figures(run_result(punctual, overloaded, before=use(5.0, 2.0), after=use(9.0, 3.0))).server
    assert server is not None
    assert server.cpu_s_per_audio_s == pytest.approx(4.0 / (249 * 0.04 + 5.0), abs=1e-5)
    assert (server.cores, server.off_loop_share) == (0.4, 0.75)


def test_client_cost_is_cpu_time_per_second_of_audio_sent() -> None:
    result = figures(run_result(record(audio_s=40.0), record(number=1, audio_s=10.0)))
    assert result.clients_cpu_s_per_audio_s == 0.01
    assert figures(run_result(record(audio_s=0.0))).clients_cpu_s_per_audio_s == 0.0


def test_percentiles_are_nearest_rank() -> None:
    result = percentiles([number / 1000 for number in range(101)])
    assert (result.count, result.p50_ms, result.p95_ms, result.p99_ms, result.max_ms) == (101, 50.0, 95.0, 99.0, 100.0)


def test_percentiles_of_no_times() -> None:
    assert percentiles([]).count == 0


@pytest.mark.parametrize("late_s", [0.45, 0.9, 1.4])
def test_delay_of_a_slow_server_is_measured_in_full(late_s: float) -> None:
    slow = segment(1, 1.7, 3.0 + 0.55, 3.0 + late_s, "one two three")
    assert figures(run_result(record(slow))).final.max_ms == pytest.approx(late_s * 1000)
