"""Real people's speech: the product recognises the words that its engine recognises, and no words in other sounds.

CI judges every twentieth recording, `long` all of them. `python -m benchmarks.real_speech` prints the table.
"""

import numpy as np
import pytest

from tests.support.dictation import Dictation, dictate, real_server_state
from tests.support.real_speech import NO_SPEECH, compare, real_recordings, total
from trio_stt.lanes.engines.base import Engine


# The engine changes words when a clip begins or ends a little earlier, for better or worse: few clips need more slack.
@pytest.mark.parametrize(
    ("every", "slack"), [(20, 0.03), pytest.param(1, 0.005, marks=pytest.mark.long)], ids=["a part", "all"]
)
async def test_product_hears_what_its_engine_hears(moonshine: Engine, every: int, slack: float) -> None:
    async with real_server_state(use_main_model_for_realtime=True) as server_state:
        compared = await compare(server_state, moonshine, real_recordings()[::every])
    speech = [each for each in compared if each.recording.kind != NO_SPEECH]
    recognised = [
        (each.recording.path.name, each.product_text) for each in compared if each.recording.kind == NO_SPEECH
    ]
    assert [each for each in recognised if each[1]] == []
    assert [each.recording.path.name for each in speech if each.deaf] == []
    sums = total(speech)
    assert sums.product_wer <= sums.engine_wer + slack
    clips = max(1.0, slack * sums.clips)  # one clip says nothing
    assert sums.product_first >= sums.engine_first - clips
    assert sums.product_last >= sums.engine_last - clips


async def test_word_between_digital_silence_is_recognised() -> None:
    """Recorders and browsers with noise suppression send zeros around a word."""
    word, rate_hz = next(each for each in real_recordings() if each.kind == "command").read()
    zeros = np.zeros((2 * rate_hz, word.shape[1]), np.int16)
    async with real_server_state(use_main_model_for_realtime=True) as server_state:
        assert await dictate(server_state, Dictation(np.concatenate([zeros, word, zeros]), rate_hz))
