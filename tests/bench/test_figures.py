import msgspec
import pytest

from tests.bench.scenes import CLIP, record, run_result, segment
from trio_stt.bench.figures import figures, percentiles
from trio_stt.bench.process import ProcessUse

FIRST = segment(1, 1.7, 3.55, 3.6, "one two three", partials_s=[2.0, 2.3, 2.7], shown_words=4, revised_words=1)
SECOND = segment(2, 4.1, 6.0, 6.3, "four five")


def test_a_final_is_late_from_the_last_sample_spoken_before_it() -> None:
    final = figures(run_result(record(FIRST, SECOND))).final
    assert (final.count, final.p50_ms, final.max_ms) == (2, 600.0, 800.0)


def test_an_utterance_that_is_cut_while_somebody_speaks_has_no_lateness() -> None:
    result = figures(run_result(record(segment(1, 1.7, 2.5, 2.6, "one two"), segment(2, 2.5, 3.6, 3.7, "three"))))
    assert result.cut_segments == 1
    assert (result.final.count, result.final.max_ms) == (1, 700.0)


def test_the_first_partial_counts_from_the_first_spoken_sample() -> None:
    first = figures(run_result(record(FIRST, SECOND))).first_partial
    assert (first.count, first.max_ms) == (1, 500.0)


def test_what_begins_with_a_cut_has_no_first_partial() -> None:
    cut = segment(1, 1.7, 2.5, 2.6, "one", partials_s=[2.0])
    rest = segment(2, 2.5, 3.6, 3.7, "two three", partials_s=[2.9])
    first = figures(run_result(record(cut, rest))).first_partial
    assert (first.count, first.max_ms) == (1, 500.0)


def test_an_utterance_over_two_phrases_is_late_from_the_second() -> None:
    whole = segment(1, 1.7, 6.0, 6.1, "one two three four five", partials_s=[2.0])
    assert figures(run_result(record(whole))).final.max_ms == 600.0


def test_what_began_before_all_talkers_were_there_is_not_judged() -> None:
    result = figures(run_result(record(FIRST, SECOND), steady_from_s=4.0))
    assert (result.final.count, result.final.max_ms) == (1, 800.0)
    assert result.first_partial.count == 0
    assert result.word_error_rate == 0.0  # words always count


def test_words_of_all_talkers_are_judged_together() -> None:
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


def test_what_went_wrong_is_told() -> None:
    lost = segment(1, 1.7, 3.5, None, "")
    closed = segment(2, 4.1, 6.0, None, "", closed=True)
    absent = record(number=1, hello_s=None, begun_s=None, clips=[], failures=["connection: refused"])
    result = figures(run_result(record(lost, closed, dropped_s=0.32), absent))
    assert (result.unfinished_segments, result.dropped_s, result.connected, result.clients) == (1, 0.32, 1, 2)
    assert result.failures == ["connection: refused"]


def test_the_server_costs_what_its_process_used_between_the_two_looks() -> None:
    def use(cpu_s: float, loop_s: float) -> ProcessUse:
        return ProcessUse(cpu_s=cpu_s, main_thread_cpu_s=loop_s, rss_bytes=2**20, threads=4, descriptors=9)

    punctual = record(late_s=[0.0] * 250)  # ten seconds of packets, the last on the stroke of the end
    overloaded = record(number=1, late_s=[0.0] * 125 + [60.0] * 125)
    server = figures(run_result(punctual, overloaded, before=use(5.0, 2.0), after=use(9.0, 3.0))).server
    assert server is not None
    assert server.cpu_s_per_audio_s == pytest.approx(4.0 / (249 * 0.04 + 5.0), abs=1e-5)
    assert (server.cores, server.off_loop_share) == (0.4, 0.75)


def test_talkers_cost_what_their_processes_used_for_the_audio_that_they_sent() -> None:
    result = figures(run_result(record(audio_s=40.0), record(number=1, audio_s=10.0)))
    assert result.clients_cpu_s_per_audio_s == 0.01
    assert figures(run_result(record(audio_s=0.0))).clients_cpu_s_per_audio_s == 0.0


def test_percentiles_are_of_the_nearest_rank() -> None:
    result = percentiles([number / 1000 for number in range(101)])
    assert (result.count, result.p50_ms, result.p95_ms, result.p99_ms, result.max_ms) == (101, 50.0, 95.0, 99.0, 100.0)


def test_no_times_are_no_failure() -> None:
    assert percentiles([]).count == 0


@pytest.mark.parametrize("late_s", [0.45, 0.9, 1.4])
def test_a_late_server_shows_its_whole_lateness(late_s: float) -> None:
    slow = segment(1, 1.7, 3.0 + 0.55, 3.0 + late_s, "one two three")
    assert figures(run_result(record(slow))).final.max_ms == pytest.approx(late_s * 1000)
