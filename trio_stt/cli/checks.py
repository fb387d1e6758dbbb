"""What `trio-stt doctor` finds out: packages, devices, models, libraries, settings, the server and its page.

Each function looks at one thing and returns what it saw, as data; it must not print, nor judge the whole.
"""

import os
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import msgspec

from trio_stt.api.http import page_folder
from trio_stt.api.web_app import build_app
from trio_stt.cli.tls import ServerConfig
from trio_stt.errors import EngineUnavailable, ModelMissing, TrioSttError
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.lanes.engines.sherpa.moonshine_files import EMBEDDED_MODEL, embedded_folder
from trio_stt.models.cache import ModelCache, human_size
from trio_stt.models.catalogue import ENTRIES
from trio_stt.server.build import build_server, engine_configs
from trio_stt.settings import Settings, declarations

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)[^;]*(?:;.*extra == ['\"](?P<extra>[\w-]+)['\"])?")
_MOONSHINE = "sherpa_onnx_moonshine"
_PATIENCE_S = 3.0
_MAX_BODY_BYTES = 1 << 20
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on


class Package(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A package: its version, or None where it is not installed; the extra that brings it, or None for the rest."""

    name: str
    version: str | None
    extra: str | None


class KeptModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A model that is here and whole."""

    engine: str
    name: str
    path: str


class Lane(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What would transcribe: whether it loads here, and one line that says on what, or why not."""

    use: Literal["finals", "partials", "finals and partials"]
    engine: str
    model: str
    ok: bool
    said: str


class Server(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The server's address: whether it runs there or could, and whether its page can be had."""

    address: str
    state: Literal["running", "free", "taken"]
    ok: bool
    said: str
    page: bool


class _Health(msgspec.Struct):
    ok: bool
    ready: bool


def packages() -> tuple[Package, ...]:
    """Every package that trio-stt declares, those of its extras last."""
    found = []
    for requirement in requires("trio-stt") or ():
        parts = _REQUIREMENT.match(requirement)
        assert parts is not None  # noqa: S101 - installers accepted it
        found.append(Package(name=parts["name"], version=_version(parts["name"]), extra=parts["extra"]))
    return tuple(sorted(found, key=lambda package: (package.extra or "", package.name)))


def kept_models(store: ModelCache) -> tuple[KeptModel, ...]:
    """The embedded model, if its package is whole, and the models that were pulled and are whole."""
    embedded: tuple[KeptModel, ...] = ()
    with suppress(EngineUnavailable):
        folder = embedded_folder(_MOONSHINE)
        embedded = (KeptModel(engine=_MOONSHINE, name=EMBEDDED_MODEL, path=str(folder)),)
    return embedded + tuple(
        KeptModel(engine=entry.engine, name=entry.name, path=str(path))
        for entry in ENTRIES
        if (path := store.find(entry)) is not None
    )


def lanes(settings: Settings) -> tuple[Lane, ...]:
    """Load what the settings name, one after the other, and free it again. Fetches nothing.

    Raises:
        SettingError: There is no such engine.
    """
    final, partial = engine_configs(settings)
    if partial is None:
        return (_lane("finals and partials", final),)
    return _lane("finals", final), _lane("partials", partial)


def start_refusal(settings: Settings) -> str | None:
    """Why a server with these settings would not start, apart from engines and the address; None where it would.

    The folder for recordings is made, as at a start.
    """
    try:
        ServerConfig().use_certificate(settings)
        build_app(build_server(settings))
    except TrioSttError as error:
        return str(error)
    return None


def from_environment() -> dict[str, str]:
    """The settings that the environment gives; what clients may not see is not shown here either."""
    return {
        declaration.env: os.environ[declaration.env] if declaration.option.public else "(set)"
        for declaration in declarations()
        if declaration.env in os.environ
    }


def libsndfile() -> str | None:
    """The version of the library that reads sound files, or None where it cannot be loaded."""
    try:
        import soundfile  # noqa: PLC0415 - it loads the library, which is what is looked for
    except OSError:
        return None
    known: str = soundfile.__libsndfile_version__
    return known


def server(settings: Settings) -> Server:
    """Who answers at the server's address: this server, nobody, or another program."""
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
        does = "transcribes" if health.ok else "cannot transcribe: see its log" if health.ready else "loads"
        said = f"trio-stt runs there and {does}" + ("" if page else "; its page does not come")
        fine = (health.ok or not health.ready) and page
        return Server(address=address, state="running", ok=fine, said=said, page=page)
    page = (page_folder() / "index.html").is_file()
    refusal = _refusal(settings.host, settings.port)
    said = refusal or f"free; the page's files are {'there' if page else 'missing'}"
    return Server(
        address=f"{schemes[0]}://{place}",
        state="taken" if refusal else "free",
        ok=refusal is None and page,
        said=said,
        page=page,
    )


def _lane(use: Literal["finals", "partials", "finals and partials"], config: EngineConfig) -> Lane:
    ok = False
    try:
        engine = model_resolver.load(replace(config, offline=True))
    except ModelMissing as error:
        entry = model_resolver.known_model(config)
        ok = entry is not None and not config.offline
        said = f"is fetched at the next start ({human_size(entry.size_bytes)})" if ok and entry else str(error)
    except TrioSttError as error:
        said = str(error)
    else:
        ok = True
        said = f"runs {engine.info.model} on {engine.info.device}"
        if engine.info.notice:
            said += f"; {engine.info.notice}"
        engine.close()
    return Lane(use=use, engine=config.engine, model=config.model, ok=ok, said=said)


def _get(address: str) -> bytes:
    context = ssl.create_default_context()
    # A server's own name is rarely this one, and nothing that it says is trusted for more than a line of text.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
    with opener.open(address, timeout=_PATIENCE_S) as response:
        body: bytes = response.read(_MAX_BODY_BYTES)
    return body


def _page_answers(address: str) -> bool:
    try:
        return b"<html" in _get(f"{address}/")
    except OSError:
        return False


def _refusal(host: str, port: int) -> str | None:
    """Why the address cannot be listened on, or None where it can."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return f"cannot be listened on: {error.strerror or error}"
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
