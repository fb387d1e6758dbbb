"""Removal of sound tags: what engines write for sounds that are no words, such as `[Music]` or `(applause)`.

Only text that no speaker says is removed. Square brackets and musical notes always mark a sound. Parentheses and
asterisks do if a word inside names one; other text in parentheses stays.
"""

import re
from collections.abc import Sequence

_SOUNDS = (
    "music|applause|laugh|chuckl|giggl|cheer|clap|cough|sneez|sniff|sigh|breath|gasp|groan|scream|shout|cry|sob"
    "|whistl|hum|sing|silence|silent|pause|noise|static|beep|buzz|click|ring|bell|knock|footstep|thunder|engine|bark"
    "|meow|chirp|growl|inaudible|unintelligible|indistinct|crosstalk|foreign|speak|typ|blank_audio|no_speech|sound"
    "|musik|applaus|lachen|gelächter|musique|rires|applaudissements|música|risas|aplausos|musica|applausi|risate"
    "|музыка|смех|аплодисменты"
)
_UNSPACED_SOUNDS = "音乐|音樂|音楽|掌声|掌聲|拍手|笑|無音|음악|박수|웃음"
_NAMES_A_SOUND = rf"(?:\b(?:{_SOUNDS})(?:e?s|e?d|[gmnpt]?ing|e|ter)?\b|{_UNSPACED_SOUNDS})"
_TAG = re.compile(
    r"\[[^\[\]]*\]|【[^【】]*】|<\|?[a-z_]+\|?>|[\u2669-\u266c]+"
    rf"|[(\uff08](?=[^()\uff08\uff09]*{_NAMES_A_SOUND})[^()\uff08\uff09]*[)\uff09]"
    rf"|\*(?=[^*]*{_NAMES_A_SOUND})[^*]*\*",
    re.IGNORECASE,
)


def without_sound_tags(text: str) -> str:
    """The text without its sound tags, with single spaces where they were; unchanged if it has none."""
    spoken, removed = _TAG.subn(" ", text)
    return " ".join(spoken.split()) if removed else text


def pieces_without_sound_tags(texts: Sequence[str]) -> list[str]:
    """Pieces of one text without the sound tags, which may extend over several pieces: as many pieces, some empty."""
    # Spaces of the same length take the place of the tags, so that every piece keeps its position.
    joined = _TAG.sub(lambda tag: " " * len(tag[0]), " ".join(texts))
    spoken, start = [], 0
    for text in texts:
        spoken.append(" ".join(joined[start : start + len(text)].split()))
        start += len(text) + 1
    return spoken
