"""Comparison of words: normalised spelling, kept words, word errors. It must not know where words come from."""

import re
from difflib import SequenceMatcher

import jiwer

_WORD = re.compile(r"[\w']+")


def plain_words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation. Apostrophes and digits stay as they are."""
    return _WORD.findall(text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def kept_words(before: list[str], after: list[str]) -> int:
    """The number of words that stand in both texts in the same order, as difflib matches them."""
    same = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        same += 1
    rest = SequenceMatcher(None, before[same:], after[same:], autojunk=False)
    return same + sum(block.size for block in rest.get_matching_blocks())


def word_errors(reference: list[str], hypothesis: list[str]) -> int:
    """The fewest words to substitute, insert and delete (Levenshtein distance) between two texts."""
    if not reference or not hypothesis:  # jiwer takes no empty reference
        return len(reference) + len(hypothesis)
    compared = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    return compared.substitutions + compared.insertions + compared.deletions
