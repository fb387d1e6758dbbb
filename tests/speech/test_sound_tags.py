import pytest

from trio_stt.speech.sound_tags import pieces_without_sound_tags, without_sound_tags


@pytest.mark.parametrize(
    "text",
    [
        "[Music]",
        "[MUSIC PLAYING]",
        "[BLANK_AUDIO]",
        "[ Silence ]",
        "(applause)",
        "(audience laughing)",
        "(speaking in foreign language)",
        "*sighs*",
        "♪",
        "♪♪♪",
        "[音乐]",
        "\uff08笑\uff09",
        "【音楽】",
        "(Applaus)",
        "<|nospeech|>",
        "[Applause] (laughs) ♪",
    ],
)
def test_text_of_tags_alone_becomes_empty(text: str) -> None:
    assert without_sound_tags(text) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[Music] Good evening.", "Good evening."),
        ("Good (applause) evening.", "Good evening."),
        ("♪ Happy birthday to you ♪", "Happy birthday to you"),
        ("Thank you. *laughs* Go on.", "Thank you. Go on."),
    ],
)
def test_words_around_tags_stay(text: str, words: str) -> None:
    assert without_sound_tags(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "Good evening.",
        "The music played; there was applause and laughter.",
        "Five (5) apples",
        "It (the second one) is better.",
        "a room (single, with a window)",
        "two * three * four",
        "a < b and b > c",
        "  two  spaces  ",
    ],
)
def test_words_that_are_no_tag_stay_as_they_are(text: str) -> None:
    assert without_sound_tags(text) == text


def test_tag_over_several_pieces_leaves_empty_pieces() -> None:
    assert pieces_without_sound_tags(["Good", "(upbeat", "music)", "evening.", "[Music] all"]) == [
        *("Good", "", "", "evening.", "all")
    ]
