"""What text and sound say about the end of a turn, and what the segmenter makes of it in audio time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speech.test_segmenter import SILENCE, SPEECH, ends, feed, kinds, segmenter, starts, windows
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.speech.endpointing import EARLIEST_END_S, QUESTION_S, TurnState, judge
from trio_stt.speech.events import SpeechEvent, TurnFinished, TurnQuestion, UtteranceEnded
from trio_stt.speech.segmenter import Segmenter

FINISHED, UNKNOWN, DOUBTFUL, UNFINISHED = TurnState


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("What time is it?", FINISHED),
        ("I'll give it a try.", FINISHED),
        ("Where are you from?", FINISHED),
        ("She said: “Leave me alone.”", FINISHED),
        ("今天天气很好。", FINISHED),
        ("Sorry.", UNKNOWN),
        ("Okay", UNKNOWN),
        ("Hey Mycroft", UNKNOWN),
        ("If you get me out of here,", UNFINISHED),
        ("Some of them are only for.", UNFINISHED),
        ("Montreal forced um", UNFINISHED),
        ("And the house your eye finished", UNFINISHED),
        ("Well...", UNFINISHED),
        ("Well…", UNFINISHED),
        ("R-a-n-j-e-n.", UNFINISHED),
        ("My name is A. N.", UNFINISHED),
        ("THE ENGINE WRITES CAPITALS", UNKNOWN),
        ("the engine writes no full stops", UNKNOWN),
        ("the engine writes no full stops and", UNFINISHED),
        ("", UNKNOWN),
        ("...", UNKNOWN),
        ("no no no no no no no no no no no no no no.", UNKNOWN),
    ],
)
def test_text_alone(text: str, state: TurnState) -> None:
    assert judge(text, None) is state


@pytest.mark.parametrize(
    ("text", "probability", "state"),
    [
        ("I'll give it a try.", 0.3, FINISHED),
        ("I'll give it a try.", 0.25, UNKNOWN),
        ("I'll give it a try.", 0.01, DOUBTFUL),
        ("Support.", 0.97, FINISHED),
        ("Support.", 0.4, UNKNOWN),
        ("Support.", 0.1, DOUBTFUL),
        ("Montreal forced um", 0.02, UNFINISHED),
        ("The house and", 0.98, UNKNOWN),
        (None, 0.98, UNKNOWN),
        (None, 0.01, UNFINISHED),
        (None, None, UNKNOWN),
    ],
)
def test_sound_confirms_or_doubts_the_text(text: str | None, probability: float | None, state: TurnState) -> None:
    assert judge(text, probability) is state


@given(text=st.none() | st.text(), probability=st.none() | st.floats(0.0, 1.0))
def test_any_text_is_judged(text: str | None, probability: float | None) -> None:
    assert judge(text, probability) in TurnState


def adaptive(**changes: object) -> Segmenter:
    return segmenter(endpointing="adaptive", **changes)


def questions(events: list[SpeechEvent]) -> list[TurnQuestion]:
    return [event for event in events if isinstance(event, TurnQuestion)]


def in_a_pause(machine: Segmenter, state: TurnState | None) -> list[SpeechEvent]:
    """Speech and a pause until the question, which is answered at once."""
    events = feed(machine, SPEECH, 20) + feed(machine, SILENCE, windows(QUESTION_S))
    (question,) = questions(events)
    assert question.speech_end_sample == 20 * WINDOW_SAMPLES
    return [] if state is None else machine.answer(question, state)


def test_finished_turn_is_announced_after_its_least_silence_and_ends_as_with_fixed() -> None:
    machine = adaptive()
    assert in_a_pause(machine, FINISHED) == []
    events = feed(machine, SILENCE, windows(0.55) - windows(QUESTION_S))
    assert kinds(events) == ["TurnFinished", "UtteranceEnded"]
    finished, ended = events
    assert isinstance(finished, TurnFinished)
    assert isinstance(ended, UtteranceEnded)
    assert ended.clip_end_sample == finished.question.end_sample
    assert ended.end_sample - ended.speech_end_sample == windows(0.55) * WINDOW_SAMPLES


def test_late_answer_announces_at_once() -> None:
    machine = adaptive()
    feed(machine, SPEECH, 20)
    (question,) = questions(feed(machine, SILENCE, windows(EARLIEST_END_S)))
    assert kinds(machine.answer(question, FINISHED)) == ["TurnFinished"]
    assert machine.answer(question, FINISHED) == []


def test_unfinished_turn_ends_after_its_own_silence() -> None:
    for state, silence_s in ((UNFINISHED, 1.45), (DOUBTFUL, 1.0)):
        machine = adaptive(unfinished_silence_duration=1.45)
        in_a_pause(machine, state)
        (ended,) = ends(feed(machine, SILENCE, 100))
        assert ended.end_sample - ended.speech_end_sample == windows(silence_s) * WINDOW_SAMPLES


def test_unknown_turn_ends_as_with_fixed_and_its_clip_is_the_later_one() -> None:
    machine, fixed = adaptive(), segmenter()
    in_a_pause(machine, UNKNOWN)
    feed(fixed, SPEECH, 20)
    (ended,) = ends(feed(machine, SILENCE, 100))
    assert [ended] == ends(feed(fixed, SILENCE, 100))


def test_answer_to_an_earlier_pause_has_no_effect() -> None:
    machine = adaptive()
    feed(machine, SPEECH, 20)
    (question,) = questions(feed(machine, SILENCE, windows(QUESTION_S)))
    assert kinds(feed(machine, SPEECH, 1)) == ["SpeechResumed"]
    feed(machine, SILENCE, windows(EARLIEST_END_S))
    assert machine.answer(question, FINISHED) == []


def test_word_resumes_a_finished_turn_and_a_click_does_not() -> None:
    machine = adaptive()
    in_a_pause(machine, FINISHED)
    assert kinds(feed(machine, SILENCE, 5)) == ["TurnFinished"]
    assert feed(machine, SPEECH, 2) == []
    assert kinds(feed(machine, SPEECH, 1)) == ["SpeechResumed"]


def test_question_waits_for_its_answer_before_the_next_clip_is_due() -> None:
    machine = adaptive()
    in_a_pause(machine, None)
    assert not machine.waits_for_answer
    while not machine.waits_for_answer:
        assert feed(machine, SILENCE, 1) == []
    machine.give_up_question()
    assert not machine.waits_for_answer
    assert kinds(feed(machine, SILENCE, 1)) == ["SpeculationDue"]


def test_question_later_than_the_end_is_never_put() -> None:
    machine = adaptive(post_speech_silence_duration=0.16)
    feed(machine, SPEECH, 20)
    assert kinds(feed(machine, SILENCE, 10)) == ["SilenceConfirmed", "UtteranceEnded"]


RUNS = st.lists(
    st.tuples(st.integers(1, 30), st.integers(1, 45), st.sampled_from(TurnState), st.integers(0, 12)), min_size=1
)


@given(runs=RUNS)
def test_segments_are_those_of_fixed_endpointing_or_whole_runs_of_them(
    runs: list[tuple[int, int, TurnState, int]],
) -> None:
    """Each utterance ends where one of fixed endpointing would end, or later; its start is one of theirs."""
    fixed, machine = segmenter(), adaptive()
    plain: list[SpeechEvent] = []
    events: list[SpeechEvent] = []
    for speech, silence, state, delay in runs:
        for vad_result, count in ((SPEECH, speech), (SILENCE, silence)):
            plain += feed(fixed, vad_result, count)
            answered: int | None = None
            for _ in range(count):
                if machine.waits_for_answer or answered == 0:
                    events += machine.answer(questions(events)[-1], state)
                    answered = None
                new = feed(machine, vad_result, 1)
                events += new
                answered = delay if questions(new) else answered and answered - 1
        machine.give_up_question()
    machine.stop()
    fixed.stop()
    assert {start.trigger_sample for start in starts(events)} <= {start.trigger_sample for start in starts(plain)}
    assert len(ends(events)) <= len(ends(plain))
    assert {end.speech_end_sample for end in ends(events)} <= {
        *(end.speech_end_sample for end in ends(plain)),
        machine.position_sample,
    }


@given(runs=RUNS, delays=st.lists(st.integers(0, 12), min_size=1))
def test_time_of_answers_changes_no_segment(runs: list[tuple[int, int, TurnState, int]], delays: list[int]) -> None:
    def ended(wait: int) -> list[UtteranceEnded]:
        machine, events = adaptive(), list[SpeechEvent]()
        open_for: int | None = None
        number = -1
        states: list[TurnState] = [state for _, _, state, _ in runs]
        for speech, silence, _, _ in runs:
            for vad_result, count in ((SPEECH, speech), (SILENCE, silence)):
                for _ in range(count):
                    if open_for is not None and (machine.waits_for_answer or open_for == 0):
                        events += machine.answer(questions(events)[-1], states[number % len(states)])
                        open_for = None
                    new = feed(machine, vad_result, 1)
                    events += new
                    open_for = None if open_for is None else open_for - 1
                    if questions(new):
                        number, open_for = number + 1, wait
        return ends(events)

    first, *others = [ended(wait) for wait in {0, *delays}]
    assert all(other == first for other in others)


def test_constants_are_in_order() -> None:
    assert QUESTION_S < EARLIEST_END_S < 0.55
    assert EARLIEST_END_S * SAMPLE_RATE_HZ % WINDOW_SAMPLES == 0
