"""Subtitles: size and duration of cues, where they and their lines are broken, and what is escaped."""

from itertools import pairwise

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.protocol.event_objects import Piece
from trio_stt.protocol.scripts import columns, joined
from trio_stt.protocol.subtitle_lines import SubtitleLayout
from trio_stt.protocol.subtitles import as_srt, as_vtt, cues
from trio_stt.protocol.transcript_formats import SpokenSegment

BEST_OF_TIMES = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity."
)
CAT = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"


def spoken(
    text: str, start: float = 0.0, end: float = 1.0, *, channel: int | None = None, pieces: tuple[Piece, ...] = ()
) -> SpokenSegment:
    return SpokenSegment(file="a.wav", segment_id=1, start=start, end=end, text=text, channel=channel, pieces=pieces)


def lines_of(*segments: SpokenSegment, layout: SubtitleLayout | None = None) -> list[tuple[str, ...]]:
    return [cue.lines for cue in cues(segments, layout or SubtitleLayout())]


WORDS = st.one_of(
    st.text(min_size=1, max_size=60),
    st.sampled_from(["Yes.", "well,", "and", "naïve", "吾輩は猫である。", "สวัสดี", "안녕하세요", "-->", r"C:\new"]),
)


@st.composite
def transcripts(draw: st.DrawFn) -> list[SpokenSegment]:
    end, found = 0.0, []
    for _ in range(draw(st.integers(0, 6))):
        start = end + draw(st.floats(0, 3))
        end = start + draw(st.floats(0, 25))
        found.append(spoken(" ".join(draw(st.lists(WORDS, max_size=30))), start, end))
    return found


@given(segments=transcripts(), width=st.integers(10, 60), most=st.integers(1, 3))
def test_cues_have_the_size_and_the_time_of_a_subtitle(segments: list[SpokenSegment], width: int, most: int) -> None:
    found = cues(segments, SubtitleLayout(max_line_width=width, max_lines=most))
    for cue in found:
        assert 1 <= len(cue.lines) <= most
        assert 0.8 - 1e-9 <= cue.end - cue.start <= 7 + 1e-9
        assert all(line.strip() == line != "" for line in cue.lines)
        # Marks that belong to the character before them stay with it, however many there are.
        assert all(columns(line) <= width or len(line) > width for line in cue.lines)
    for before, after in pairwise(found):
        assert before.end <= after.start + 1e-9
    characters = "".join("".join(line.split()) for cue in found for line in cue.lines)
    assert characters == "".join("".join(segment.text.split()) for segment in segments), "nothing lost, nothing twice"


@given(segments=transcripts())
def test_players_read_what_was_written(segments: list[SpokenSegment]) -> None:
    found, subrip = cues(segments), as_srt(segments)
    assert subrip.count("-->") == len(pysubs2.SSAFile.from_string(subrip, "srt")) if found else not subrip
    assert as_vtt(segments).count("-->") == len(found)
    starts = [event.start for event in pysubs2.SSAFile.from_string(as_vtt(segments), "vtt")]
    assert starts == [round(cue.start * 1000) for cue in found]


def test_cues_and_lines_end_where_clauses_do() -> None:
    assert lines_of(spoken(BEST_OF_TIMES, 0, 12)) == [
        ("It was the best of times,", "it was the worst of times,"),
        ("it was the age of wisdom,", "it was the age of foolishness,"),
        ("it was the epoch of belief,", "it was the epoch of incredulity."),
    ]


def test_a_pause_ends_a_cue_like_a_comma() -> None:
    pieces = tuple(
        Piece(text=word, start_seconds=at, end_seconds=at + 0.4)
        for word, at in zip(
            ["one", "two", "three", "four", "five", "six", "seven", "eight"],
            [0, 0.4, 0.8, 1.2, 5, 5.4, 5.8, 6.8],
            strict=True,
        )
    )
    first, second = cues([spoken("One two three four five six seven eight.", 0, 7.2, pieces=pieces)])
    assert (first.lines, second.lines) == (("One two three four",), ("five six seven eight.",))
    assert (first.start, second.start) == (0, 5)


def test_times_are_those_of_pieces_although_the_final_text_differs() -> None:
    pieces = tuple(
        Piece(text=text, start_seconds=at, end_seconds=at + 1.0)
        for text, at in [("twenty", 0.0), ("one", 1.0), ("it was the age of foolishness it was", 8.0)]
    )
    first, second = cues([spoken("21. It was the age of foolishness, it was", 0, 9, pieces=pieces)])
    assert first.lines == ("21.",)
    assert first.end <= second.start
    assert 7.5 <= second.start <= 8.1


def test_a_short_cue_is_joined_to_its_neighbour_or_stays() -> None:
    assert lines_of(spoken("Yes.", 0, 0.3), spoken("I know.", 0.4, 1.5)) == [("Yes. I know.",)]
    (alone,) = cues([spoken("Yes.", 3, 3.2)])
    assert alone.end == pytest.approx(3.8)


def test_cue_stays_until_it_can_be_read() -> None:
    first, _ = cues([spoken("Forty characters in less than a second!!", 0, 0.9), spoken("Next.", 8, 9)])
    assert first.end == pytest.approx(2.0)


def test_chinese_and_japanese_are_broken_without_spaces_and_joined_without_any() -> None:
    assert lines_of(spoken(CAT, 0, 6)) == [("吾輩は猫である。名前はまだ無い。", "どこで生れたかとんと見当がつかぬ。")]
    assert all(line[0] not in "。、ーゃっ」" for cue in lines_of(spoken(CAT * 3, 0, 15)) for line in cue)
    assert joined(["吾輩は猫である。", "名前はまだ無い。", "Yes.", "はい。", "안녕.", "네."]) == (
        "吾輩は猫である。名前はまだ無い。 Yes. はい。 안녕. 네."
    )


def test_a_word_wider_than_a_line_is_split() -> None:
    (lines,) = lines_of(spoken("x" * 60, 0, 3))
    assert lines == ("x" * 42, "x" * 18)


def test_layout_is_that_of_the_flags() -> None:
    layout = SubtitleLayout(max_line_width=20, max_lines=1)
    found = lines_of(spoken(BEST_OF_TIMES, 0, 20), layout=layout)
    assert all(len(lines) == 1 and len(lines[0]) <= 20 for lines in found)


def test_arrows_and_markup_are_escaped() -> None:
    segments = [spoken(r"a --> b <i>& C:\new\Home {\an8}")]
    assert as_srt(segments).splitlines()[2] == r"a → b <i>& C:\new\Home {\an8}"
    assert as_vtt(segments).splitlines()[4] == r"a --&gt; b &lt;i&gt;&amp; C:\new\Home {\an8}"


def test_each_channel_has_its_speaker_and_its_own_times() -> None:
    found = cues(
        [spoken("Hello there.", 0, 2, channel=1), spoken("Hi.", 1, 1.2, channel=2), spoken("You?", 1.3, 1.5, channel=2)]
    )
    assert [(cue.channel, cue.lines) for cue in found] == [
        (1, ("Speaker 1: Hello there.",)),
        (2, ("Speaker 2: Hi. You?",)),
    ]
