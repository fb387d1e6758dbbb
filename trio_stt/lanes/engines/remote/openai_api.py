"""The engine `openai_api`: any server with OpenAI's `/v1/audio/transcriptions`, hosted or self-hosted.

It owns the options and the meaning of an answer; `openai_client` sends the requests, and is imported only when an
engine is loaded. The key comes from the environment and is never logged or shown.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import numpy as np
from pydantic import BeforeValidator, Field

from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Hints, Times, Transcript
from trio_stt.lanes.engines.common import Clip, ClipEngine, import_backend
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.options import Count, EngineOptions, Integer, Number, decode, option_error
from trio_stt.lanes.engines.word_times import timed_text
from trio_stt.languages import language_code

if TYPE_CHECKING:
    from trio_stt.lanes.engines.remote.openai_client import Answer, Client, Service

ENGINE = "openai_api"

_PACKAGE = "httpx2"
_DEFAULT_MODEL = "whisper-1"
_OPENAI_URL = "https://api.openai.com/v1"
_KEY = "OPENAI_API_KEY"
_BASE_URL = "OPENAI_BASE_URL"
_ROUTE = "/audio/transcriptions"

_MIN_SAMPLES = SAMPLE_RATE_HZ // 4
"""Shorter clips are padded with zeros: OpenAI refuses what is shorter than 0.1 s."""


def _refuse_key(_: object) -> object:
    raise ValueError(f"must not be there: give the key in the environment, as {_KEY}")


class OpenAiOptions(EngineOptions):
    """What the engine `openai_api` takes."""

    api_key: Annotated[object, BeforeValidator(_refuse_key)] = None
    api_key_env: str = _KEY
    base_url: str = ""
    model: str = ""
    language: str = ""
    response_format: Literal["json", "verbose_json"] = "json"
    word_timestamps: bool = False
    temperature: Annotated[Number | None, Field(ge=0, le=1)] = None
    deadline_s: Annotated[Number, Field(ge=0.1, le=600)] = 30.0
    retries: Annotated[Integer, Field(ge=0, le=10)] = 2
    max_batch: Count = 4


class OpenAiApi(ClipEngine):
    """A remote service; its model is the client. Made by `load`."""

    def close(self) -> None:
        """Close the connections. Calling it again does nothing."""
        if self._loaded is not None:
            self._loaded.close()
        super().close()

    def _transcribe(self, model: "Client", clips: Sequence[Clip], hints: Hints) -> list[Transcript]:
        """All clips are sent at the same time."""
        padded = [np.pad(clip, (0, max(0, _MIN_SAMPLES - clip.size))) for clip in clips]
        language = self.info.languages.of_request(hints.language)
        chosen = (("language", language), ("prompt", hints.prompt))
        answers = model.transcribe(padded, extra=tuple((name, value) for name, value in chosen if value))
        return [
            self._transcript(answer, language, clip.size / SAMPLE_RATE_HZ)
            for answer, clip in zip(answers, clips, strict=True)
        ]

    def _transcript(self, answer: "Answer", language: str | None, duration_s: float) -> Transcript:
        return Transcript(
            text=answer.text.strip(),
            language=language_code(answer.language or "") or language,
            segments=tuple(
                timed_text(text, item.start, item.end, duration_s=duration_s)
                for item in answer.words or answer.segments or ()
                if (text := (item.word or item.text).strip())
            ),
        )


def load(config: EngineConfig) -> OpenAiApi:
    """Prepare the client of the server that the option `base_url` or the environment names. Sends no request.

    Raises:
        SettingError: The address or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package or the key is missing.
    """
    options = decode(OpenAiOptions, config.options, engine=ENGINE)
    key = os.environ.get(options.api_key_env, "").strip() or None
    base_url = options.base_url or os.environ.get(_BASE_URL, "").strip() or _OPENAI_URL
    model = options.model or config.model or _DEFAULT_MODEL
    language = language_code(options.language or config.language or "") or None
    fields = [("model", model), ("response_format", options.response_format)]
    if options.temperature is not None:
        fields.append(("temperature", f"{options.temperature:g}"))
    if options.word_timestamps:
        if options.response_format != "verbose_json":
            raise option_error(ENGINE, "word_timestamps", "needs the option response_format 'verbose_json'")
        fields.append(("timestamp_granularities[]", "word"))
    url = _route(base_url)
    if key is None and (base_url == _OPENAI_URL or options.api_key_env != _KEY):
        raise EngineUnavailable(
            f"engine {ENGINE}: the environment has no {options.api_key_env}; set it to your key,"
            f" or give the address of your own server as the option base_url or as {_BASE_URL}"
        )
    if key is not None and not (key.isascii() and key.isprintable()):
        raise SettingError(f"engine {ENGINE}: {options.api_key_env} holds characters that no key has")
    import_backend(_PACKAGE, engine=ENGINE, package=_PACKAGE, extra="openai-api")
    client = import_backend(
        "trio_stt.lanes.engines.remote.openai_client", engine=ENGINE, package=_PACKAGE, extra="openai-api"
    )
    service: Service = client.Service(
        engine=ENGINE,
        url=url,
        key=key,
        fields=tuple(fields),
        deadline_s=options.deadline_s,
        retries=options.retries,
    )
    info = EngineInfo(
        engine=ENGINE,
        model=f"{model} at {url}",
        device="remote",
        max_batch=options.max_batch,
        devices=("remote",),
        languages=LanguageSupport(loaded=language, per_request=True, detects=True),
        prompt=True,
        times=_times(options),
    )
    return OpenAiApi(client.Client(service), info=info, normalize=config.normalize_audio)


def _times(options: OpenAiOptions) -> Times:
    if options.word_timestamps:
        return "words"
    return "segments" if options.response_format == "verbose_json" else "none"


def _route(base_url: str) -> str:
    """The address of the transcription route; `/v1` is added to an address without a path.

    Raises:
        SettingError: It is not an address, or it contains a password, which logs would show.
    """
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise option_error(ENGINE, "base_url", f"is not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise option_error(ENGINE, "base_url", f"must be like https://host/v1, not {base_url!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise option_error(ENGINE, "base_url", f"must hold no password, query or fragment; give a key as {_KEY}")
    return parts._replace(path=(parts.path.rstrip("/") or "/v1") + _ROUTE).geturl()
