"""End of turn: judges in a pause, by text and sound, whether the talker is done.

Pure functions of both; the segmenter asks the question, and draws the consequences. The thresholds were chosen on the
pauses of `benchmarks.end_of_turn`, with Moonshine tiny and Smart Turn 3.2.
"""

import re
from enum import Enum, auto

from trio_stt.speech.repetition import rejected_text
from trio_stt.speech.text import normalized_text, words

QUESTION_S = 0.16
"""Silence, five windows, after which it is asked. The median answer takes 0.13 s, so it is there at `EARLIEST_END_S`;
asked one window later, half of the finals come later. The clip of a finished turn has as many words right as one that
is a window longer: on the half of the recordings that decided nothing, 266 of 1153 words are wrong in each."""

EARLIEST_END_S = 0.288
"""Silence, nine windows, before which no turn ends, however soon the answer comes. Less would gain 4 ms at the median;
0.32 s costs 25 ms."""

_SENTENCE_WORDS = 3
"""Words from which a text can be a sentence. Fewer are an interjection as often as an answer."""
_PROBABLE_SENTENCE = 0.3
"""Least probability by sound at which a sentence is finished. The model is wrong about every fourth end, above all
where a sentence is acted, so it only objects: some ends are then late, and fewer sentences are split."""
_DOUBTFUL = 0.2
"""Probability by sound below which the talker may go on, although the text could end here."""
_PROBABLE = 0.8
"""Least probability by sound at which any other text is finished, such as a command of one word."""
_IMPROBABLE = 0.5
"""Probability by sound from which an open text is in doubt; the model's own threshold."""
_IMPROBABLE_SOUND = 0.05
"""Probability by sound below which a turn is unfinished if nothing is known of its text."""

_CLOSING = "[\"'”’)\\]»]*$"  # noqa: RUF001 - quotation marks of texts
_ENDS_SENTENCE = re.compile(f"[.?!。？！؟।]{_CLOSING}")  # noqa: RUF001 - marks of other scripts
_ENDS_QUESTION = re.compile(f"[?？؟]{_CLOSING}")  # noqa: RUF001 - as above
_ENDS_OPEN = re.compile(rf"(\.\.\.|[…,;:\-–—]){_CLOSING}")  # noqa: RUF001 - dashes
_SPELLED = re.compile(r"(^|[\s-])\w[\s.,-]+\w[.,]?$")
"""The last two words are single letters or digits: a name or a number is being spelled."""

_LEADING_WORDS = frozenset(
    (
        *("a", "an", "the", "this", "these", "those", "that", "which", "who", "whose", "whom", "when", "while"),
        *("where",),
        *("and", "or", "but", "so", "because", "if", "as", "than", "like", "about", "into", "with", "without", "from"),
        *("of", "to", "in", "on", "at", "by", "for", "my", "your", "his", "its", "our", "their", "i", "we", "he"),
        *("she", "they", "is", "are", "was", "were", "am", "be", "been", "being", "have", "has", "had", "do", "does"),
        *("did", "will", "would", "can", "could", "should", "shall", "may", "might", "must", "i'm", "you're", "we're"),
        *("they're", "he's", "she's", "it's", "i'll", "you'll", "we'll", "very", "really", "just", "also", "um", "uh"),
        *("er", "erm", "hmm", "mm"),
    )
)
"""English words after which more follows nearly always, unless they end a question. In other languages, few of them are
words, and punctuation and sound decide."""


class TurnState(Enum):
    """Whether the talker is done."""

    FINISHED = auto()
    UNKNOWN = auto()
    DOUBTFUL = auto()
    """The text could end here, and the sound says that it goes on."""
    UNFINISHED = auto()


def judge(text: str | None, probability: float | None) -> TurnState:
    """Judge a pause.

    Args:
        text: What the engine recognises of the utterance until the pause; None if that is not known.
        probability: How likely the talker is done by the sound; None if that is not known.
    """
    if text is None:
        unfinished = probability is not None and probability < _IMPROBABLE_SOUND
        return TurnState.UNFINISHED if unfinished else TurnState.UNKNOWN
    text = text.strip()
    if rejected_text(text) is not None:
        return TurnState.UNKNOWN
    normal = normalized_text(text).normal
    spoken = [normal[start:end] for start, end in words(normal)]
    if _leads_on(text, spoken[-1]):
        unfinished = probability is None or probability < _IMPROBABLE
        return TurnState.UNFINISHED if unfinished else TurnState.UNKNOWN
    is_sentence = len(spoken) >= _SENTENCE_WORDS
    stops = _ENDS_SENTENCE.search(text) is not None
    # An engine that writes no full stops writes no capitals either, or nothing else: then their absence means nothing.
    breaks_off = is_sentence and not stops and text not in (text.lower(), text.upper())
    return _weigh(probability, is_complete=is_sentence and stops, breaks_off=breaks_off)


def _leads_on(text: str, last_word: str) -> bool:
    """Whether the end of a text calls for more words, or it ends within a name or a number that is spelled."""
    leads = last_word in _LEADING_WORDS and not _ENDS_QUESTION.search(text)
    return leads or bool(_ENDS_OPEN.search(text) or _SPELLED.search(text))


def _weigh(probability: float | None, *, is_complete: bool, breaks_off: bool) -> TurnState:
    """Weigh the sound against a text that is a complete sentence, breaks off within one, or is neither."""
    if probability is None:
        if is_complete:
            return TurnState.FINISHED
        return TurnState.UNFINISHED if breaks_off else TurnState.UNKNOWN
    if probability >= (_PROBABLE_SENTENCE if is_complete else _PROBABLE):
        return TurnState.FINISHED
    if breaks_off and probability < _IMPROBABLE:
        return TurnState.UNFINISHED
    return TurnState.DOUBTFUL if probability < _DOUBTFUL else TurnState.UNKNOWN
