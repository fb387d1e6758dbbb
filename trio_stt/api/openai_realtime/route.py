"""How OpenAI Realtime clients reach their translator, and the routes that give out client secrets."""

import secrets
import time
from functools import partial

import msgspec
from quart import Blueprint, Response, request

from trio_stt.access.client_identity import client_identity
from trio_stt.api.dialect_route import DialectSpec, Handshake, HandshakeRefused
from trio_stt.api.http import small_body
from trio_stt.api.openai_realtime.client_secrets import ClientSecret, ClientSecrets, SecretAnswer
from trio_stt.api.openai_realtime.dialect import RealtimeDialect
from trio_stt.api.openai_realtime.session_config import (
    SessionConfig,
    beta_session,
    first_config,
    ga_session,
    updated,
)
from trio_stt.api.openai_realtime.update_fields import InvalidUpdate, Json
from trio_stt.api.request_error import RequestError
from trio_stt.api.upload import with_request_errors
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.job import JobKind
from trio_stt.server.public_reports import shown_model
from trio_stt.server.server_state import ServerState

_PATH = "/v1/realtime"
_BETA = "realtime=v1"
"""In the header `OpenAI-Beta`, whose other values are about other APIs."""
_BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
_MAX_MESSAGE_BYTES = 4 << 20
"""Largest message: a minute of PCM at 24 kHz in base64, 3.84 MB, with room for the JSON around it."""
_ID_BYTES = 12
_DEFAULT_LIFETIME_S = 600
_MIN_LIFETIME_S, _MAX_LIFETIME_S = 10, 7200


def realtime_spec(server_state: ServerState) -> DialectSpec:
    """The dialect of one server."""
    client_secrets = ClientSecrets(peers=server_state.peers)

    def model() -> str:
        loaded = (lane.engine.model for lane in server_state.lanes.statistics().lanes if lane.engine)
        return shown_model(next(loaded, server_state.settings.model))

    def languages() -> LanguageSupport | None:
        engine = server_state.lanes.lane_for(JobKind.FINAL).engine
        return engine.languages if engine else None

    def new_dialect(handshake: Handshake) -> list[RealtimeDialect]:
        query = dict(handshake.query)
        if "call_id" in query:
            raise HandshakeRefused(400, "call_id: this server has no calls (SIP, WebRTC), only WebSockets with audio")
        secret = client_secrets.find(handshake.key)
        is_beta = _BETA_SUBPROTOCOL in handshake.subprotocols or _BETA in handshake.headers.get("openai-beta", "")
        dialect = RealtimeDialect(
            settings=handshake.settings,
            config=first_config(handshake.settings, query.get("model", ""), secret.config if secret else None),
            beta=is_beta,
            intent=query.get("intent") == "transcription",
            model=model,
            languages=languages,
            session_id=_session_id(),
            created_at=int(time.time()),
            has_turn_model=server_state.has_turn_model,
        )
        return [dialect]

    routes = Blueprint("openai-realtime-secrets", __name__, url_prefix=_PATH)

    @routes.post("/client_secrets")
    @with_request_errors
    async def create_secret() -> Response:
        secret = await _create(client_secrets, server_state, await _body())
        session = ga_session(secret.config, session_id=_session_id(), model=model(), expires_at=secret.expires_at)
        return _json(SecretAnswer(value=secret.value, expires_at=secret.expires_at, session=session))

    @routes.post("/transcription_sessions")
    @with_request_errors
    async def create_beta_session() -> Response:
        secret = await _create(client_secrets, server_state, {"session": await _body()})
        session = beta_session(secret.config, session_id=_session_id(), model=model(), expires_at=secret.expires_at)
        return _json(session | {"client_secret": {"value": secret.value, "expires_at": secret.expires_at}})

    return DialectSpec(
        path=_PATH,
        new_dialect=new_dialect,
        subprotocols=("realtime", _BETA_SUBPROTOCOL),
        max_message_bytes=_MAX_MESSAGE_BYTES,
        temporary_key=client_secrets.record,
        http_routes=routes,
        start=partial(client_secrets.share, server_state.peers),
    )


async def _create(client_secrets: ClientSecrets, server_state: ServerState, body: Json) -> ClientSecret:
    record = client_identity(request.scope).record
    secret = client_secrets.create(_config(body, server_state), lifetime_s=_lifetime_s(body), record=record)
    await client_secrets.share(server_state.peers, [secret])
    return secret


def _config(body: Json, server_state: ServerState) -> SessionConfig:
    settings = server_state.settings
    try:
        session = body.get("session")
        return updated(first_config(settings, ""), {} if session is None else session, settings)
    except InvalidUpdate as error:
        raise RequestError(400, str(error), param=error.param, code="invalid_value") from None


def _lifetime_s(body: Json) -> int:
    given = body.get("expires_after")
    if given is None:
        return _DEFAULT_LIFETIME_S
    if isinstance(given, dict) and given.get("anchor", "created_at") != "created_at":
        param = "expires_after.anchor"
        raise RequestError(400, f"{param} must be created_at", param=param, code="invalid_value")
    seconds = given.get("seconds", _DEFAULT_LIFETIME_S) if isinstance(given, dict) else None
    if isinstance(seconds, int) and not isinstance(seconds, bool) and _MIN_LIFETIME_S <= seconds <= _MAX_LIFETIME_S:
        return seconds
    param, allowed = "expires_after.seconds", f"an integer from {_MIN_LIFETIME_S} to {_MAX_LIFETIME_S}"
    raise RequestError(400, f"{param} must be {allowed}", param=param, code="invalid_value")


async def _body() -> Json:
    try:
        body = msgspec.json.decode(await small_body() or b"{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise RequestError(400, "the body must be a JSON object")
    return body


def _session_id() -> str:
    return f"sess_{secrets.token_hex(_ID_BYTES)}"


def _json(content: Json | SecretAnswer) -> Response:
    return Response(msgspec.json.encode(content), mimetype="application/json")
