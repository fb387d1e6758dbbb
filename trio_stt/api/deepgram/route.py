"""The routes of `/v1/listen`: the WebSocket as a dialect, and uploads of whole files."""

import hashlib
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import cast
from uuid import NAMESPACE_URL, uuid5

from msgspec.structs import replace
from quart import Blueprint, Response, request

from trio_stt.api.deepgram.answers import file_answer
from trio_stt.api.deepgram.audio import decoder_for, wav_header
from trio_stt.api.deepgram.container import container_wire
from trio_stt.api.deepgram.messages import ModelInfo, ResultMetadata
from trio_stt.api.deepgram.multichannel import channel_decoder, serve_channels
from trio_stt.api.deepgram.options import ListenOptions, parse_options
from trio_stt.api.deepgram.translator import ListenTranslator
from trio_stt.api.dialect import Close, Dialect, Wire, session_settings
from trio_stt.api.dialect_route import DialectSpec, Handshake, HandshakeRefused, ServeOne
from trio_stt.api.request_error import RequestError
from trio_stt.api.request_language import choose_language
from trio_stt.api.upload import place, prepare_upload, receive_sound, with_request_errors
from trio_stt.api.websocket_transport import CLOSE_INTERNAL_ERROR
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.deepgram_errors import LISTEN_PATH, this_request
from trio_stt.protocol.event_objects import iso
from trio_stt.server.public_reports import shown_model
from trio_stt.server.server_state import ServerState
from trio_stt.server.sound_client import file_settings
from trio_stt.settings import Settings
from trio_stt.sound.channels import MIX, SEPARATE

_FULL_STATUS = 503
"""Clients try again after a 5xx; after a 4xx, Pipecat and LiveKit give up for good."""
_IDLE_S = 12.0
"""Seconds without audio or a message after which a client is idle: Deepgram's 10, and room for a late `KeepAlive`."""
_MAX_MESSAGE_BYTES = 4 << 20
"""A minute of linear32 at 16 kHz: clients that send files use large frames."""


_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"OggS", b"fLaC", b"ID3", b"FORM", b"\x1a\x45\xdf\xa3")
"""How files begin that clients send with the `encoding` of what is inside."""


def listen_spec(server_state: ServerState) -> DialectSpec:
    """The WebSocket route of one server."""
    return DialectSpec(
        path=LISTEN_PATH,
        new_dialect=lambda handshake: _new_translators(server_state, handshake),
        # Browsers cannot set headers: the SDK offers `token` or `bearer`, and the key behind it.
        subprotocols=("token", "bearer"),
        full_status=_FULL_STATUS,
        idle_close=Close(CLOSE_INTERNAL_ERROR, f"NET-0001: no audio and no KeepAlive for {_IDLE_S:g} s"),
        max_message_bytes=_MAX_MESSAGE_BYTES,
        serve=_serve,
    )


def listen_routes(server_state: ServerState) -> Blueprint:
    """The routes for whole files of one server."""
    routes = Blueprint("deepgram-files", __name__)

    @routes.post(LISTEN_PATH)
    @with_request_errors
    async def transcribe_file() -> Response:
        settings, created = server_state.settings, iso(time.time())
        options = parse_options(request.args.to_dict(flat=False), live=False)
        if request.mimetype == "application/json":
            raise RequestError(400, "this server fetches no `url`: send the sound itself as the body", param="url")
        file = _File(options)
        with place(server_state):
            _, sound = await receive_sound(server_state, file.feed, lambda: None)
            upload = await prepare_upload(
                server_state,
                sound,
                file_settings(_with_terms(settings, options)),
                _languages(options),
                channels=SEPARATE if options.multichannel else MIX,
            )
        segments = await upload.segments()
        body = file_answer(
            options,
            segments,
            metadata=_metadata(server_state),
            created=created,
            sha256=file.sha256,
            duration_s=upload.length_s,
            language=upload.language,
            channels=upload.channels,
        )
        response = Response(body, mimetype="application/json")
        response.timeout = None
        return response

    return routes


def _new_translators(server_state: ServerState, handshake: Handshake) -> list[ListenTranslator]:
    query: dict[str, list[str]] = {}
    for name, value in handshake.query:
        query.setdefault(name, []).append(value)
    try:
        options = parse_options(query)
        engine = server_state.lanes.lane_for(JobKind.FINAL).engine
        if engine:  # otherwise the session judges the language once an engine is loaded
            options = with_language(options, engine.languages)
    except RequestError as error:
        raise HandshakeRefused(error.status, str(error)) from None
    metadata, created = _metadata(server_state), iso(time.time())
    return [
        ListenTranslator(
            options,
            settings=live_settings(handshake.settings, options),
            decoder=decoder_for(options) if options.sessions == 1 else channel_decoder(options),
            metadata=metadata,
            created=created,
            channel=number,
        )
        for number in range(options.sessions)
    ]


def _languages(options: ListenOptions) -> list[str]:
    return [options.language] if options.language else []


def with_language(options: ListenOptions, languages: LanguageSupport) -> ListenOptions:
    """The options of a live client with a language that its session takes.

    Raises:
        RequestError: The model does not have the language.
    """
    choose_language(_languages(options), languages)
    return replace(options, language="") if languages.is_unknown else options


def live_settings(settings: Settings, options: ListenOptions) -> Settings:
    """The settings in force, with what a live client chooses.

    Deepgram's shortest silences would cut inside words here: an engine that transcribes whole clips needs a longer one.
    """
    changes: dict[str, object] = {"idle_timeout_s": min(settings.idle_timeout_s or _IDLE_S, _IDLE_S)}
    if options.endpointing_ms is not None:
        silence_ms = max(options.endpointing_ms, settings.deepgram_min_endpointing_ms)
        changes["post_speech_silence_duration"] = silence_ms / 1000
    return session_settings(settings, **changes)


def _with_terms(settings: Settings, options: ListenOptions) -> Settings:
    if not options.keyterms:
        return settings
    prompt = " ".join(filter(None, [settings.initial_prompt, ", ".join(options.keyterms)]))
    return settings.model_copy(update={"initial_prompt": prompt})


async def _serve(wire: Wire, dialects: Sequence[Dialect], serve_one: ServeOne) -> Close | None:
    translators = cast("Sequence[ListenTranslator]", dialects)
    first = translators[0]
    if len(translators) > 1:
        return await serve_channels(wire, translators, first.options, serve_one)
    if not first.expects_container:
        return await serve_one(wire, 0)
    async with container_wire(wire, first) as decoding:
        return await serve_one(decoding, 0)


class _File:
    """The body of a request: raw audio gets the header that makes it a sound file, unless it has one of its own."""

    def __init__(self, options: ListenOptions) -> None:
        self._hash = hashlib.sha256()
        self._header = wav_header(options)

    @property
    def sha256(self) -> str:
        """Of what the client sent."""
        return self._hash.hexdigest()

    def feed(self, data: bytes) -> bytes:
        """The next bytes of the file."""
        self._hash.update(data)
        header, self._header = self._header, b""
        return data if data.startswith(_MAGIC) else header + data


def _metadata(server_state: ServerState) -> ResultMetadata:
    """What runs here, and the id of the current request."""
    engine = server_state.lanes.lane_for(JobKind.FINAL).statistics().engine
    name = shown_model(engine.model) if engine else ""
    return ResultMetadata(
        request_id=this_request().id,
        model_uuid=str(uuid5(NAMESPACE_URL, f"trio-stt:{name}")),
        model_info=ModelInfo(name=name, version=version("trio-stt"), arch=engine.engine if engine else ""),
    )
