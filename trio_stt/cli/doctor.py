"""`trio-stt doctor`: checks everything that a server needs and tells how to solve problems.

It owns the output and the exit status. The checks are in `checks`.
"""

import platform
from collections.abc import Iterator
from importlib.metadata import version

import msgspec

from trio_stt.access.host_and_origin import is_loopback
from trio_stt.cli.checks import (
    EndOfTurnCheck,
    KeptModel,
    LaneCheck,
    Package,
    ServerCheck,
    end_of_turn,
    ffmpeg,
    from_environment,
    kept_models,
    lanes,
    libsndfile,
    packages,
    server,
    start_refusal,
)
from trio_stt.cli.cluster_checks import NodeCheck, cluster_nodes
from trio_stt.cli.models import cache_of
from trio_stt.lanes.engines.devices import DeviceReport, device_report
from trio_stt.runtime.packages import install_command, install_hint
from trio_stt.settings import Settings


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The results of all checks.

    Attributes:
        ok: Whether there is no problem.
        version: Version of trio-stt.
        python: Version of Python, and the platform.
        packages: The packages that trio-stt declares.
        devices: The devices that each family of engines can use.
        lanes: Whether the engines of the settings load; empty while a server runs, which has loaded them.
        cluster: The nodes of the Ray cluster; empty without `ray_address`.
        end_of_turn: What decides where an utterance ends.
        models_folder: The folder of downloaded models.
        models: The embedded model and the downloaded ones.
        environment: Settings from the environment.
        libsndfile: Version of the library that reads WAV, FLAC and similar files, or None.
        ffmpeg: Version of the library that reads all other sound files, or None.
        refusal: Why a server with these settings would not start, or None.
        server: The check of the server's address.
    """

    ok: bool
    version: str
    python: str
    packages: tuple[Package, ...]
    devices: tuple[DeviceReport, ...]
    lanes: tuple[LaneCheck, ...]
    cluster: tuple[NodeCheck, ...]
    end_of_turn: EndOfTurnCheck
    models_folder: str
    models: tuple[KeptModel, ...]
    environment: dict[str, str]
    libsndfile: str | None
    ffmpeg: str | None
    refusal: str | None
    server: ServerCheck


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Check, print the results, and return 0 if there is no problem, else 1.

    Raises:
        SettingError: The settings name an unknown engine.
    """
    report = _check(settings)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        print("\n".join(_lines(report, is_public=not is_loopback(settings.host))))
    return 0 if report.ok else 1


def _check(settings: Settings) -> DoctorReport:
    cache, address = cache_of(settings), server(settings)
    loaded = () if address.state == "running" else lanes(settings)
    nodes = cluster_nodes(settings.ray_address)
    installed, refusal, turns = packages(), start_refusal(settings), end_of_turn(settings, cache)
    return DoctorReport(
        ok=address.ok
        and refusal is None
        and turns.ok
        and all(lane.ok for lane in loaded)
        and all(node.ok for node in nodes)
        and all(package.version or package.extra for package in installed),
        version=version("trio-stt"),
        python=f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}",
        packages=installed,
        devices=device_report(),
        lanes=loaded,
        cluster=nodes,
        end_of_turn=turns,
        models_folder=str(cache.root),
        models=kept_models(cache),
        environment=from_environment(),
        libsndfile=libsndfile(),
        ffmpeg=ffmpeg(),
        refusal=refusal,
        server=address,
    )


def _lines(report: DoctorReport, *, is_public: bool) -> Iterator[str]:
    yield f"trio-stt {report.version}, {report.python}"
    yield from ("", "Packages")
    for package in report.packages:
        hint = install_hint(package.extra) if package.extra else install_command(package.name)
        missing = f"not installed; run `{hint}`"
        yield _line(bool(package.version or package.extra), package.name, package.version or missing)
    yield _line(True, "libsndfile", report.libsndfile or "cannot be loaded, so WAV and FLAC files cannot be read")
    yield _line(True, "FFmpeg", report.ffmpeg or "cannot be loaded, so MP3, M4A, Ogg and video files cannot be read")
    yield from ("", "Devices")
    for device in report.devices:
        can = "yes" if device.available else "no"
        yield _line(True, f"{device.engine} on {device.device}", f"{can}: {device.reason}")
    yield from ("", "Engines")
    for lane in report.lanes:
        yield _line(lane.ok, lane.use, f"{lane.engine}, {lane.model}: {lane.message}")
    if not report.lanes:
        yield _line(True, "all", "loaded by the running server")
    for node in report.cluster:
        yield _line(node.ok, f"node {node.address}", node.message)
    yield _line(report.end_of_turn.ok, "end of turn", report.end_of_turn.message)
    yield from ("", "Models")
    for model in report.models:
        yield _line(True, model.engine, f"{model.name}: {model.path}")
    yield _line(True, "folder of downloads", report.models_folder)
    yield from ("", "Settings from the environment")
    for name, value in report.environment.items():
        yield _line(True, name, value)
    if not report.environment:
        yield _line(True, "none", "")
    yield from ("", "Server")
    yield _line(report.refusal is None, "settings", report.refusal or "valid")
    yield _line(report.server.ok, report.server.address, report.server.message)
    if is_public:
        yield _line(True, "microphone", "on other machines, browsers allow it to HTTPS pages only")
    yield from ("", "No problems found." if report.ok else 'Problems are marked with "!".')


def _line(ok: bool, name: str, text: str) -> str:
    return f"{' ' if ok else '!'} {name:<28} {text}".rstrip()
