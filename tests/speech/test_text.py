import pytest

from trio_stt.speech.final_text import finished


@pytest.mark.contract("8.2")
@pytest.mark.parametrize(
    ("raw", "final"),
    [
        ("", ""),
        ("  \n ", ""),
        ("hello  world", "Hello world."),
        ("it is 5", "It is 5."),
        ("really?", "Really?"),
        ("élan", "Élan."),
        ("'tis so", "'tis so."),
        ("Done.", "Done."),
    ],
)
def test_a_final_is_tidied(raw: str, final: str) -> None:
    assert finished(raw) == final
