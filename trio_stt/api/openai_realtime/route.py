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
from trio_stt.settings import Settings

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
        body = await _body()
        lifetime_s = _lifetime_s(body.get("expires_after"), "expires_after")
        secret = await _create(client_secrets, server_state, body.get("session"), lifetime_s)
        session = ga_session(secret.config, session_id=_session_id(), model=model(), expires_at=secret.expires_at)
        return _json(SecretAnswer(value=secret.value, expires_at=secret.expires_at, session=session))

    @routes.post("/transcription_sessions")
    @with_request_errors
    async def create_beta_session() -> Response:
        body = await _body()
        wanted = body.get("client_secret")
        expires = wanted.get("expires_at") if isinstance(wanted, dict) else wanted
        lifetime_s = _lifetime_s(expires, "client_secret.expires_at")
        secret = await _create(client_secrets, server_state, body, lifetime_s)
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


async def _create(
    client_secrets: ClientSecrets, server_state: ServerState, session: object, lifetime_s: int
) -> ClientSecret:
    record = client_identity(request.scope).record
    config = _config(session, server_state.settings)
    secret = client_secrets.create(config, lifetime_s=lifetime_s, record=record)
    await client_secrets.share(server_state.peers, [secret])
    return secret


def _config(session: object, settings: Settings) -> SessionConfig:
    try:
        return updated(first_config(settings, ""), {} if session is None else session, settings)
    except InvalidUpdate as error:
        raise RequestError(400, str(error), param=error.param, code="invalid_value") from None


def _lifetime_s(given: object, param: str) -> int:
    """How long a secret is valid, from the object that says so."""
    fields = {} if given is None else given
    if not isinstance(fields, dict):
        raise _invalid(param, "an object")
    if fields.get("anchor", "created_at") != "created_at":
        raise _invalid(f"{param}.anchor", "created_at")
    seconds = fields.get("seconds", _DEFAULT_LIFETIME_S)
    if isinstance(seconds, int) and not isinstance(seconds, bool) and _MIN_LIFETIME_S <= seconds <= _MAX_LIFETIME_S:
        return seconds
    raise _invalid(f"{param}.seconds", f"an integer from {_MIN_LIFETIME_S} to {_MAX_LIFETIME_S}")


def _invalid(param: str, allowed: str) -> RequestError:
    return RequestError(400, f"{param} must be {allowed}", param=param, code="invalid_value")


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
