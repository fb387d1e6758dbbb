"""Words compared: plain spelling, and how many words a transcript has wrong. It must not know where words come from."""

import re
from difflib import SequenceMatcher

import numpy as np

_WORD = re.compile(r"[\w']+")


def plain_words(text: str) -> list[str]:
    """Its words in lower case, without punctuation; apostrophes stay. Numbers stay as they are written."""
    return _WORD.findall(text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def kept_words(before: list[str], after: list[str]) -> int:
    """How many words of one text stand in the other in the same order, as difflib matches them."""
    same = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        same += 1
    rest = SequenceMatcher(None, before[same:], after[same:], autojunk=False)
    return same + sum(block.size for block in rest.get_matching_blocks())


def word_errors(reference: list[str], hypothesis: list[str]) -> int:
    """The fewest words to substitute, add and take away (Levenshtein) that make one text of the other."""
    numbers = {word: number for number, word in enumerate({*reference, *hypothesis})}
    heard = np.array([numbers[word] for word in hypothesis], np.int64)
    steps = np.arange(heard.size + 1)
    row = steps
    for done, word in enumerate(reference, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (heard != numbers[word]))
        # An added word costs one more than its left neighbour: less the slope, a running minimum.
        row = np.minimum.accumulate(np.concatenate(([done], best)) - steps) + steps
    return int(row[-1])
