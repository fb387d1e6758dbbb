"""Each setting has a label that people wrote, with its unit."""

import re

import pytest

from trio_stt.settings import declarations
from trio_stt.settings.labels import label_of

NAMES = [declaration.name for declaration in declarations() if declaration.public]


@pytest.mark.parametrize("name", NAMES)
def test_label_is_for_people_and_has_its_unit(name: str) -> None:
    text, unit = label_of(name)
    assert re.fullmatch(r"[A-Z][^_]*[^ .]", text)
    assert not re.search(r"\b(max|min|ms|mb|_s)\b", text, re.IGNORECASE)
    if match := re.search(r"_(s|ms|mb|h|seconds|bytes|duration)$", name):
        assert unit.lower() in {"s", "ms", "mb", "h", "bytes"}, match[1]


def test_labels_are_distinct() -> None:
    texts = [label_of(name).text for name in NAMES]
    assert len(set(texts)) == len(texts)
