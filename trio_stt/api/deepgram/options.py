"""The parameters of `/v1/listen`, validated. Pure: the query in, one frozen object out.

Values are text. Unknown parameters, and those that have no effect here, are ignored, as Deepgram's clients expect.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import msgspec

from trio_stt.api.deepgram.messages import KEYTERM_LIMITS, MAX_KEYTERM_CHARACTERS, MAX_KEYTERMS
from trio_stt.api.request_error import RequestError
from trio_stt.dsp.kernels import MAX_CHANNELS

_RATES_HZ = (8_000, 48_000)
_TELEPHONE_RATE_HZ = 8_000
_MAX_MS = 60_000
_MIN_UTTERANCE_END_MS = 100
_SHOWN_CHARACTERS = 100
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no", ""})
_ANY_LANGUAGE = frozenset({"multi", ""})


class Encoding(StrEnum):
    """How audio is encoded; `CONTAINER` is found out from the bytes."""

    CONTAINER = ""
    LINEAR16 = "linear16"
    LINEAR32 = "linear32"
    MULAW = "mulaw"
    ALAW = "alaw"
    OPUS = "opus"


_CONTAINERS = frozenset({"flac", "ogg-opus"})
"""Values of `encoding` that are containers, in which the decoder finds the rest."""
_SUPPORTED = ", ".join([*filter(None, Encoding), *sorted(_CONTAINERS)])
_SAMPLES = frozenset({Encoding.LINEAR16, Encoding.LINEAR32, Encoding.MULAW, Encoding.ALAW})
"""Encodings whose channels are interleaved samples."""
_WITHOUT_RATE = frozenset({Encoding.LINEAR16, Encoding.LINEAR32})
"""Encodings with no usual sample rate."""


class ListenOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Validated parameters.

    Attributes:
        model: The name that the client gave; any name means the loaded model.
        language: As the client wrote it; empty if the server's setting applies.
        encoding: See `Encoding`.
        sample_rate_hz: Of raw audio; 0 where the decoder finds it.
        channels: Of raw audio; several are mixed down, unless `multichannel` is set.
        multichannel: Whether each channel is transcribed on its own.
        interim_results: Whether partials are sent.
        endpointing_ms: Silence that ends an utterance; None for the server's own setting.
        tells_speech_final: Whether `speech_final` says that silence ended an utterance.
        utterance_end_ms: Silence after the last word for `UtteranceEnd`; None for none.
        vad_events: Whether `SpeechStarted` is sent.
        keyterms: Terms for the engine's prompt.
        utterances: Whether the answer for a file lists its utterances.
        paragraphs: Whether the answer for a file has paragraphs.
        detect_language: Whether the answer for a file names the language.
    """

    model: str = ""
    language: str = ""
    encoding: Encoding = Encoding.CONTAINER
    sample_rate_hz: int = 0
    channels: int = 1
    multichannel: bool = False
    interim_results: bool = False
    endpointing_ms: int | None = None
    tells_speech_final: bool = True
    utterance_end_ms: int | None = None
    vad_events: bool = False
    keyterms: tuple[str, ...] = ()
    utterances: bool = False
    paragraphs: bool = False
    detect_language: bool = False

    @property
    def sessions(self) -> int:
        """Sessions of a live client: one for each channel that is transcribed on its own."""
        return self.channels if self.multichannel else 1


def parse_options(query: Mapping[str, Sequence[str]], *, live: bool = True) -> ListenOptions:
    """Validate the parameters.

    Args:
        query: By name.
        live: Whether audio comes as it is spoken; a file without a sample rate is a container.

    Raises:
        RequestError: A value is invalid, or asks for what this server cannot do; the message names its parameter.
    """

    def last(name: str) -> str:
        values = query.get(name)
        return values[-1].strip() if values else ""

    def boolean(name: str) -> bool:
        value = last(name).lower()
        if value not in _TRUE | _FALSE:
            raise _invalid(name, value, "true or false")
        return value in _TRUE

    if last("callback"):
        raise _refused("callback", "this server calls no address")
    encoding, sample_rate_hz = _encoding(last, live=live)
    channels = _integer("channels", last("channels") or "1", 1, MAX_CHANNELS)
    multichannel = boolean("multichannel")
    if live and multichannel and channels > 1 and encoding not in _SAMPLES:
        raise _refused("multichannel", f"live channels need an encoding of samples: {', '.join(sorted(_SAMPLES))}")
    endpointing = last("endpointing").lower().removesuffix(".0")
    tells_speech_final = not endpointing or endpointing not in _FALSE
    utterance_end = last("utterance_end_ms").lower()
    language = last("language")
    return ListenOptions(
        model=last("model"),
        language="" if language.lower() in _ANY_LANGUAGE else language,
        encoding=encoding,
        sample_rate_hz=sample_rate_hz,
        channels=channels,
        multichannel=multichannel,
        interim_results=boolean("interim_results"),
        endpointing_ms=_integer("endpointing", endpointing, 0, _MAX_MS)
        if tells_speech_final and endpointing not in {"", "true"}
        else None,
        tells_speech_final=tells_speech_final,
        utterance_end_ms=None
        if utterance_end in _FALSE
        else _integer("utterance_end_ms", utterance_end, _MIN_UTTERANCE_END_MS, _MAX_MS),
        vad_events=boolean("vad_events"),
        keyterms=_keyterms(query),
        utterances=boolean("utterances"),
        paragraphs=boolean("paragraphs"),
        detect_language=last("detect_language").lower() not in _FALSE,  # also a list of languages
    )


def _encoding(last: Callable[[str], str], *, live: bool) -> tuple[Encoding, int]:
    """The encoding, and the sample rate of raw audio; what has a header says its own."""
    name, rate = last("encoding").lower(), last("sample_rate")
    if name in _CONTAINERS:
        return Encoding.CONTAINER, 0
    try:
        encoding = Encoding(name)
    except ValueError:
        raise _refused("encoding", f"{name[:_SHOWN_CHARACTERS]!r} is not supported; choose of: {_SUPPORTED}") from None
    if encoding in {Encoding.CONTAINER, Encoding.OPUS}:
        return encoding if live else Encoding.CONTAINER, 0
    rate_hz = _integer("sample_rate", rate, *_RATES_HZ) if rate else 0
    if not rate_hz and encoding in _WITHOUT_RATE:
        if not live:
            return Encoding.CONTAINER, 0
        raise _refused("sample_rate", f"encoding={encoding} needs it")
    return encoding, rate_hz or _TELEPHONE_RATE_HZ


def _keyterms(query: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """From `keyterm`, and from `keywords`, whose weights (`word:2`) have no meaning here."""
    terms = [*query.get("keyterm", ()), *(word.partition(":")[0] for word in query.get("keywords", ()))]
    found = tuple(dict.fromkeys(term.strip() for term in terms if term.strip()))
    if len(found) > MAX_KEYTERMS or sum(map(len, found)) > MAX_KEYTERM_CHARACTERS:
        raise _refused("keyterm", f"must be {KEYTERM_LIMITS}")
    return found


def _integer(name: str, value: str, least: int, greatest: int) -> int:
    digits = value.removesuffix(".0")  # clients in Python may have a float
    # Up to a billion, because Python refuses to parse thousands of digits with an error of its own.
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else -1  # noqa: PLR2004 - as above
    if not least <= number <= greatest:
        raise _invalid(name, value, f"an integer from {least} to {greatest}")
    return number


def _invalid(name: str, value: str, allowed: str) -> RequestError:
    return _refused(name, f"must be {allowed}, not {value[:_SHOWN_CHARACTERS]!r}")


def _refused(name: str, reason: str) -> RequestError:
    return RequestError(400, f"{name}: {reason}", param=name, code="invalid_value")
