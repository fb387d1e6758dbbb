"""`trio-stt doctor`: one look at everything that a server needs, and what to do about what is wrong.

It owns what people and programs read of it, and the exit status. How things are looked at is in `checkup`.
"""

import platform
from collections.abc import Iterator
from importlib.metadata import version

import msgspec

from trio_stt.access.host_and_origin import is_loopback
from trio_stt.cli.checks import (
    KeptModel,
    Lane,
    Package,
    Server,
    from_environment,
    kept_models,
    lanes,
    libsndfile,
    packages,
    server,
    start_refusal,
)
from trio_stt.cli.models import store_of
from trio_stt.lanes.engines.devices import DeviceReport, device_report
from trio_stt.settings import Settings


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that the doctor found.

    Attributes:
        ok: Whether nothing is wrong.
        version: Of trio-stt.
        python: Version and platform.
        packages: Those that trio-stt declares.
        devices: What each family of engines can run on.
        lanes: What the settings name, loaded; empty while a server runs, which has it loaded.
        models_folder: Where pulled models are kept.
        models: The embedded one, and those that were pulled.
        environment: Settings that come from the environment.
        libsndfile: Version of the library that reads sound files, or None.
        refusal: Why a server with these settings would not start, or None.
        server: The server's address.
    """

    ok: bool
    version: str
    python: str
    packages: tuple[Package, ...]
    devices: tuple[DeviceReport, ...]
    lanes: tuple[Lane, ...]
    models_folder: str
    models: tuple[KeptModel, ...]
    environment: dict[str, str]
    libsndfile: str | None
    refusal: str | None
    server: Server


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Look, say what was seen, and return 0 if nothing is wrong, else 1.

    Raises:
        SettingError: The settings name an engine that does not exist.
    """
    report = _look(settings)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        print("\n".join(_lines(report, is_public=not is_loopback(settings.host))))
    return 0 if report.ok else 1


def _look(settings: Settings) -> Report:
    store, address = store_of(settings), server(settings)
    loaded = () if address.state == "running" else lanes(settings)
    installed, refusal = packages(), start_refusal(settings)
    return Report(
        ok=address.ok
        and refusal is None
        and all(lane.ok for lane in loaded)
        and all(package.version or package.extra for package in installed),
        version=version("trio-stt"),
        python=f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}",
        packages=installed,
        devices=device_report(),
        lanes=loaded,
        models_folder=str(store.root),
        models=kept_models(store),
        environment=from_environment(),
        libsndfile=libsndfile(),
        refusal=refusal,
        server=address,
    )


def _lines(report: Report, *, is_public: bool) -> Iterator[str]:
    yield f"trio-stt {report.version}, {report.python}"
    yield from ("", "Packages")
    for package in report.packages:
        lacks = f"not installed; run `pip install 'trio-stt[{package.extra}]'`" if package.extra else "not installed"
        yield _line(bool(package.version or package.extra), package.name, package.version or lacks)
    yield _line(True, "libsndfile", report.libsndfile or "cannot be loaded: `trio-stt transcribe` will not read files")
    yield from ("", "Devices")
    for device in report.devices:
        can = "yes" if device.available else "no"
        yield _line(True, f"{device.engine} on {device.device}", f"{can}: {device.reason}")
    yield from ("", "Engines")
    for lane in report.lanes:
        yield _line(lane.ok, lane.use, f"{lane.engine}, {lane.model}: {lane.said}")
    if not report.lanes:
        yield _line(True, "all", "loaded by the server that runs")
    yield from ("", "Models")
    for model in report.models:
        yield _line(True, model.engine, f"{model.name}: {model.path}")
    yield _line(True, "pulled ones lie in", report.models_folder)
    yield from ("", "Settings from the environment")
    for name, value in report.environment.items():
        yield _line(True, name, value)
    if not report.environment:
        yield _line(True, "none", "")
    yield from ("", "Server")
    yield _line(report.refusal is None, "settings", report.refusal or "a server takes them")
    yield _line(report.server.ok, report.server.address, report.server.said)
    if is_public:
        yield _line(True, "microphone", "from other machines, browsers give it to pages that come over HTTPS only")
    yield from ("", "Nothing is wrong." if report.ok else "Lines with ! say what is wrong.")


def _line(ok: bool, name: str, text: str) -> str:
    return f"{' ' if ok else '!'} {name:<28} {text}".rstrip()
