"""`trio-stt models recommend`: measures this machine, and lists the models that it runs in real time.

What was measured here, what is estimated from that, and what others published are shown apart.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from trio_stt.cli.models import aligned, cache_of, embedded
from trio_stt.cli.reference_speech import reading
from trio_stt.errors import AudioFileError, SettingError, TrioSttError
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, Engine, EngineConfig, Request
from trio_stt.languages import language_name
from trio_stt.models.cache import ModelCache
from trio_stt.models.recommendation import CLIP_S, best_live, by_words, gflop
from trio_stt.models.spec import ModelSpec
from trio_stt.models.word_errors import WordErrors, word_errors
from trio_stt.runtime.cpus import usable_cores
from trio_stt.settings import Settings

Floats = NDArray[np.float32]

_MATRIX = 512
_MATRIX_TEST_S = 1.0
_ENGINE_SPEEDUP = 4.0
"""Operations that Moonshine makes in a CPU second, over those of a matrix product in numpy: 44 and 11 billion on a core
of a shared AMD EPYC. It serves where no model is on this machine."""
_MAX_MEASURED_S = 4.0
"""Estimated CPU seconds for a clip above which a model that is here is not tried: it does not run in real time."""
_TRIES = 2
"""Clips that are timed; the fastest counts, because other programs only slow it down."""
_FINALS_SHARE = 0.6
"""Least share of the engines' time for finals; partials have the rest."""
_BUSY_SHARE = 0.5
"""Share of the cores' time at which 95 of 100 finals still come within 0.5 s after the pause that ends an utterance,
and partials within 2 s: an utterance waits for those before it. Where Moonshine took 0.11 s for a clip, 30 would
have filled two cores, and 12 to 16 reached these limits; where it took 0.16 s, 23 and 12 (`trio-stt bench --clients N
--talking 1`, clients on the same cores)."""
_SESSION_CORES = 0.02
"""Cores that a session needs besides the engine, while its client speaks: `benchmarks.session_cost`."""


class Recommendation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One model.

    Attributes:
        engine: For `--engine`.
        model: For `--model`.
        cpu_seconds: CPU seconds for an utterance of 4 s.
        measured: Whether they were measured here; otherwise they are estimated from the model's size.
        speakers: Clients that may speak at the same time, with finals and partials in time.
        word_errors_percent: Published word error rate, or None if none is known.
        test: Its test set.
        source: Where it was published.
        present: Whether the model is on this machine.
    """

    engine: str
    model: str
    cpu_seconds: float
    measured: bool
    speakers: int
    word_errors_percent: float | None
    test: str | None
    source: str | None
    present: bool


@dataclass(frozen=True, slots=True)
class _Candidate:
    entry: ModelSpec
    present: bool


def recommend(settings: Settings, *, as_json: bool) -> int:
    """Measure, print the models, the most accurate first, and return the exit status.

    Raises:
        SettingError: The language is left to the model, or no model of the catalogue has it.
    """
    language = settings.language_code
    if language is None:
        raise SettingError("language: name one, such as --language de")
    cache, cores = cache_of(settings), usable_cores()
    candidates = [_Candidate(entry, _is_present(entry, cache)) for entry in by_words(language)]
    if not candidates:
        raise SettingError(f"language: no model of the catalogue has {language!r}")
    found = _measured(candidates, settings, language, cores)
    live = [each for each in found if each.speakers]
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(live)).decode())
    else:
        print("\n".join(_lines(live, language, cores, too_slow=len(found) - len(live))))
    return 0 if live else 1


def _is_present(entry: ModelSpec, cache: ModelCache) -> bool:
    return bool(embedded(entry) or cache.find(entry))


def _measured(candidates: list[_Candidate], settings: Settings, language: str, cores: int) -> list[Recommendation]:
    """Measure the models that are here, cheapest first, and estimate the others.

    Those of an engine that was measured are estimated from its time for speech, all others from the first model's time
    for noise.
    """
    speech, noise = _speech(), _noise()
    gflop_per_s = _matrix_gflop_per_s() * _ENGINE_SPEEDUP
    seconds: dict[str, float] = {}
    speech_gflop_per_s: dict[str, float] = {}  # of each engine that was measured
    for each in sorted(candidates, key=lambda each: gflop(each.entry)):
        if each.present and gflop(each.entry) / gflop_per_s <= _MAX_MEASURED_S:
            measured_s = _clip_s(each.entry, settings, language, (noise, speech))
            if measured_s is not None:
                noise_s, speech_s = measured_s
                if not seconds:
                    gflop_per_s = gflop(each.entry) / noise_s
                speech_gflop_per_s.setdefault(each.entry.engine, gflop(each.entry) / speech_s)
                seconds[each.entry.place] = speech_s
    return [
        _recommendation(
            each,
            word_errors(each.entry, language),
            cpu_s=seconds.get(
                each.entry.place, gflop(each.entry) / speech_gflop_per_s.get(each.entry.engine, gflop_per_s)
            ),
            measured=each.entry.place in seconds,
            cores=cores,
        )
        for each in candidates
    ]


def _recommendation(
    candidate: _Candidate, known: WordErrors | None, *, cpu_s: float, measured: bool, cores: int
) -> Recommendation:
    entry = candidate.entry
    return Recommendation(
        engine=entry.engine,
        model=entry.name,
        cpu_seconds=round(cpu_s, 3),
        measured=measured,
        speakers=int(cores * _BUSY_SHARE / (cpu_s / CLIP_S / _FINALS_SHARE + _SESSION_CORES)),
        word_errors_percent=known.percent if known else None,
        test=known.test if known else None,
        source=known.source if known else None,
        present=candidate.present,
    )


def _matrix_gflop_per_s() -> float:
    """Billions of operations of a matrix product in a CPU second."""
    matrix = np.random.default_rng(0).standard_normal((_MATRIX, _MATRIX)).astype(np.float32)
    products, end_s, begun_s = 0, time.perf_counter() + _MATRIX_TEST_S, time.process_time()
    while time.perf_counter() < end_s:
        np.matmul(matrix, matrix)
        products += 1
    return products * 2 * _MATRIX**3 / 1e9 / max(time.process_time() - begun_s, 1e-6)


def _noise() -> Floats:
    """A clip that costs what the encoder costs, which is what `gflop` counts: an engine finds few words in it."""
    return np.random.default_rng(0).standard_normal(round(CLIP_S * SAMPLE_RATE_HZ)).astype(np.float32) * np.float32(
        0.05
    )


def _speech() -> Floats:
    """A clip that costs what speech costs: Moonshine takes twice as long for words as for noise."""
    try:
        return reading(CLIP_S)
    except AudioFileError:  # the package with the reading is not installed
        return _noise()


def _clip_s(
    entry: ModelSpec, settings: Settings, language: str, clips: tuple[Floats, Floats]
) -> tuple[float, float] | None:
    """CPU seconds of a model for each of the clips; None if it cannot be loaded here."""
    config = EngineConfig(
        engine=entry.engine,
        model=entry.name,
        language=language,
        download_root=settings.download_folder,
        offline=True,
    )
    try:
        engine = model_resolver.load(config)
        times = [[_transcription_s(engine, clip) for clip in clips] for _ in range(_TRIES + 1)]
        engine.close()
    except TrioSttError:
        return None
    # The first call allocates and compiles.
    noise_s, speech_s = (min(each) for each in zip(*times[1:], strict=True))
    return noise_s, speech_s


def _transcription_s(engine: Engine, clip: Floats) -> float:
    begun_s = time.process_time()
    engine.transcribe([Request(samples=clip)])
    return time.process_time() - begun_s


def _lines(live: list[Recommendation], language: str, cores: int, *, too_slow: int) -> Iterator[str]:
    name = language_name(language).capitalize()
    yield f"{name} on {cores} CPU cores, the most accurate models first:"
    heads = ("words wrong", "model", "engine", "4 s of speech", "talkers", "here")
    rows = [
        (
            f"{each.word_errors_percent:g} %" if each.word_errors_percent is not None else "no figure",
            each.model,
            each.engine,
            f"{each.cpu_seconds:.2f} s {'measured' if each.measured else 'estimated'}",
            f"about {each.speakers}",
            "yes" if each.present else "",
        )
        for each in live
    ]
    yield from aligned([heads, *rows])
    if too_slow:
        yield f"{too_slow} more models of the catalogue are too slow here for one talker."
    yield "Measured here: CPU time of models on this machine. Estimated from that: all other times, and talkers."
    for source in dict.fromkeys((each.test, each.source) for each in live if each.source):
        yield f"Quoted: words wrong, {source[0]}, {source[1]}."
    if any(each.word_errors_percent is None for each in live):
        yield "Models without a figure follow by size: of one family, the larger one makes fewer errors."
    names = {(each.engine, each.model) for each in live}
    best = best_live(language, lambda entry: (entry.engine, entry.name) in names)
    if best is not None:
        yield f"Start with: trio-stt serve --engine {best[0].engine} --model {best[0].name} --language {language}"
