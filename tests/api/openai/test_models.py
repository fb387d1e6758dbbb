"""Which models are listed, and which names answer for themselves."""

import pytest

from trio_stt.api.openai.models import model_entries, model_entry


def test_loaded_models_come_first_and_once() -> None:
    assert [each.id for each in model_entries(["a/small", "a/small", "b"], 7)] == ["a/small", "b", "whisper-1"]


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("a/small", True),
        ("whisper-1", True),
        ("whisper-large-v3", True),
        ("gpt-transcribe", True),
        ("gpt-4o-mini-transcribe-2025-12-15", True),
        ("gpt-4o-transcribe-diarize", True),
        ("gpt-realtime-whisper", True),
        ("gpt-5", False),
        ("b", False),
        ("a/whisper-1", False),
        ("", False),
    ],
)
def test_names_of_openai_answer_for_themselves(name: str, answers: bool) -> None:
    entry = model_entry(name, model_entries(["a/small"], 7), 7)
    assert (entry.id if entry else None) == (name if answers else None)
