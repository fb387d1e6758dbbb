"""The checks of `trio-stt doctor`: packages, devices, models, libraries, settings, the server and its page.

Each function checks one thing and returns the result as data. It must not print.
"""

import re
import socket
import ssl
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import msgspec

from trio_stt.api.http import page_folder
from trio_stt.api.web_app import build_app
from trio_stt.cli.models import embedded
from trio_stt.cli.tls import ServerConfig
from trio_stt.dsp.turn_model import TurnModel
from trio_stt.errors import EngineUnavailable, ModelMissing, TrioSttError
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.models.cache import ModelCache, human_size
from trio_stt.models.catalogue import ENTRIES
from trio_stt.models.turn_models import SMART_TURN
from trio_stt.server.build import build_server, will_fetch_wake_words
from trio_stt.server.lane_plan import engine_configs
from trio_stt.settings import Settings, declarations, settings_from_environment

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)[^;]*(?:;.*extra == ['\"](?P<extra>[\w-]+)['\"])?")
_TIMEOUT_S = 3.0
_MAX_BODY_BYTES = 1 << 20
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on


class Package(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A package: its version, or None if it is not installed; the extra that requires it, or None."""

    name: str
    version: str | None
    extra: str | None


class KeptModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A complete model on this machine."""

    engine: str
    name: str
    path: str


class LaneCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether the engine of a lane loads, with one line about its device or the problem."""

    use: Literal["finals", "partials", "finals and partials"]
    engine: str
    model: str
    ok: bool
    message: str


class EndOfTurnCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether adaptive endpointing has a turn model, with one line about it or the problem."""

    ok: bool
    turn_model: str | None
    message: str


class ServerCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a server runs or could run at the address, and whether its page is available."""

    address: str
    state: Literal["running", "free", "taken"]
    ok: bool
    message: str
    page: bool


class _Health(msgspec.Struct):
    ok: bool
    ready: bool


def packages() -> tuple[Package, ...]:
    """The packages that trio-stt declares, those of its extras last."""
    found = []
    for requirement in requires("trio-stt") or ():
        parts = _REQUIREMENT.match(requirement)
        assert parts is not None  # noqa: S101 - installers accepted it
        found.append(Package(name=parts["name"], version=_version(parts["name"]), extra=parts["extra"]))
    return tuple(sorted(found, key=lambda package: (package.extra or "", package.name)))


def kept_models(cache: ModelCache) -> tuple[KeptModel, ...]:
    """The embedded models and the downloaded ones, as far as they are complete."""
    return tuple(
        KeptModel(engine=entry.engine, name=entry.name, path=str(path))
        for entry in ENTRIES
        if (path := embedded(entry) or cache.find(entry)) is not None
    )


def lanes(settings: Settings) -> tuple[LaneCheck, ...]:
    """Load the engines of the settings one after the other and free them again. Downloads nothing.

    Raises:
        SettingError: An engine does not exist.
    """
    final, partial = engine_configs(settings)
    if partial is None:
        return (_lane("finals and partials", final),)
    return _lane("finals", final), _lane("partials", partial)


def end_of_turn(settings: Settings, cache: ModelCache) -> EndOfTurnCheck:
    """Load the turn model, if there is one, and tell what judges pauses. It is needed by no setting."""
    path = embedded(SMART_TURN) or cache.find(SMART_TURN)
    ok, judges = True, f"the text alone; `trio-stt models pull {SMART_TURN.name}` adds the sound"
    if path is not None:
        judges = f"the text and, by {SMART_TURN.name}, the sound"
        try:
            TurnModel(path)
        except EngineUnavailable as error:
            ok, judges = False, f"the text alone: {error}"
    endpointing = f"`--endpointing {settings.endpointing}`"
    message = f"{endpointing}: pauses are judged by {judges}"
    if settings.endpointing == "fixed":
        message = (
            f"{endpointing}: a silence of {settings.post_speech_silence_duration:g} s; `adaptive` judges by {judges}"
        )
    return EndOfTurnCheck(ok=ok, turn_model=str(path) if path else None, message=message)


def start_refusal(settings: Settings) -> str | None:
    """Why a server with these settings would not start, apart from engines and address; None if it would.

    The folder for recordings is created, as at a start. Wake words whose models are downloaded at the start are not
    checked.
    """
    if will_fetch_wake_words(settings):
        settings = settings.model_copy(update={"wakeword_backend": ""})
    try:
        ServerConfig().use_certificate(settings)
        build_app(build_server(settings))
    except TrioSttError as error:
        return str(error)
    return None


def from_environment() -> dict[str, str]:
    """The settings from the environment. Values that clients may not see are hidden here, too."""
    given = settings_from_environment()
    return {
        declaration.env: given[declaration.name] if declaration.public else "(set)"
        for declaration in declarations()
        if declaration.name in given
    }


def libsndfile() -> str | None:
    """The version of the library that reads sound files, or None if it cannot be loaded."""
    try:
        import soundfile  # noqa: PLC0415 - it loads the library, which is what is looked for
    except OSError:
        return None
    known: str = soundfile.__libsndfile_version__
    return known


def ffmpeg() -> str | None:
    """The versions of PyAV and of FFmpeg's decoders in it, or None if they cannot be loaded."""
    try:
        import av  # noqa: PLC0415 - it loads the library, which is what is looked for
    except ImportError:
        return None
    decoders = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"libavcodec {decoders}, in PyAV {av.__version__}"


def server(settings: Settings) -> ServerCheck:
    """Check the server's address: a trio-stt server answers, it is free, or another program uses it."""
    host = _ANY_ADDRESS.get(settings.host, settings.host)
    place = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
    schemes = ("https", "http") if settings.certfile else ("http", "https")
    for scheme in schemes:
        address = f"{scheme}://{place}"
        try:
            health = msgspec.json.decode(_get(f"{address}/health"), type=_Health)
        except (OSError, msgspec.DecodeError):
            continue
        page = _page_answers(address)
        state = "transcribes" if health.ok else "cannot transcribe: see its log" if health.ready else "is loading"
        message = f"trio-stt runs there and {state}" + ("" if page else "; its page is not available")
        ok = (health.ok or not health.ready) and page
        return ServerCheck(address=address, state="running", ok=ok, message=message, page=page)
    page = (page_folder() / "index.html").is_file()
    refusal = _refusal(settings.host, settings.port)
    message = refusal or f"free; the page's files are {'there' if page else 'missing'}"
    return ServerCheck(
        address=f"{schemes[0]}://{place}",
        state="taken" if refusal else "free",
        ok=refusal is None and page,
        message=message,
        page=page,
    )


def _lane(use: Literal["finals", "partials", "finals and partials"], config: EngineConfig) -> LaneCheck:
    ok = False
    try:
        engine = model_resolver.load(replace(config, offline=True))
    except ModelMissing as error:
        entry = model_resolver.known_model(config)
        ok = entry is not None and not config.offline
        message = f"is downloaded at the next start ({human_size(entry.size_bytes)})" if ok and entry else str(error)
    except TrioSttError as error:
        message = str(error)
    else:
        ok = True
        message = f"runs {engine.info.model} on {engine.info.device}"
        if engine.info.notice:
            message += f"; {engine.info.notice}"
        engine.close()
    return LaneCheck(use=use, engine=config.engine, model=config.model, ok=ok, message=message)


def _get(address: str) -> bytes:
    context = ssl.create_default_context()
    # The certificate rarely contains this address, and the answer is only shown.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
    with opener.open(address, timeout=_TIMEOUT_S) as response:
        body: bytes = response.read(_MAX_BODY_BYTES)
    return body


def _page_answers(address: str) -> bool:
    try:
        return b"<html" in _get(f"{address}/")
    except OSError:
        return False


def _refusal(host: str, port: int) -> str | None:
    """Why the address cannot be bound, or None if it can."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return f"cannot be bound: {error.strerror or error}"
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
