"""The command `trio-stt plan`, with an engine whose times a test sets."""

import math
import re
from pathlib import Path

import pytest

from tests.lanes.fakes import FakeEngine
from tests.support.real import moonshine_asset
from trio_stt.capacity.service_times import ServiceTimes
from trio_stt.cli import main
from trio_stt.cli import plan as plan_module
from trio_stt.lanes.engines.base import EngineInfo


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> list[ServiceTimes]:
    """Holds the service times that the command measures."""
    moonshine_asset("beckett.wav")
    times = [ServiceTimes(call_s=0.01, per_audio_s=0.02)]
    monkeypatch.setattr(plan_module.model_resolver, "load", lambda _: FakeEngine())
    monkeypatch.setattr(plan_module, "measure", lambda *_, **__: times[-1])
    monkeypatch.setattr(plan_module, "usable_cores", lambda: 2)
    return times


@pytest.mark.usefixtures("service")
def test_plan_names_servers_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--talkers", "3", "--share", "1", "--lane-workers", "2"]) == 0
    measured, simulated, need, figures, settings, hint = capsys.readouterr().out.splitlines()
    assert measured.startswith("measured: fake, fake-model on cpu: 10 ms for each clip and 20 ms for each second of it")
    assert simulated == "simulated: a server like this, 2 cores and 2 workers, carries 3 talkers"
    assert need == "3 talkers who speak 100% of the time need 1, 3 talkers each:"
    assert "ms after the last word (p50 / p95)" in figures
    assert settings == "  settings: TRIO_STT_MAX_SESSIONS=3 TRIO_STT_MAX_ACTIVE_SPEAKERS=3"
    assert "--bench FILE" in hint


def test_engine_that_is_too_slow_for_one_client_ends_with_1(
    service: list[ServiceTimes], capsys: pytest.CaptureFixture[str]
) -> None:
    service.append(ServiceTimes(call_s=0.0, per_audio_s=2.0))
    assert main(["plan", "--talkers", "3", "--share", "1"]) == 1
    assert "one talker exceeds the limits" in capsys.readouterr().out


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("content", [None, b"{}", b"no json"])
def test_file_without_figures_is_refused_in_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    if content is not None:
        path.write_bytes(content)
    assert main(["plan", "--bench", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--bench: {path} has no figures" in line


def test_table_of_the_documentation_has_the_processes_that_the_command_calculates() -> None:
    machine = plan_module._Machine(
        cores=64,
        workers=1,
        engine=EngineInfo(engine="fake", model="fake", device="cpu"),
        service=ServiceTimes(call_s=0.0, per_audio_s=0.0),
        loop_s_per_audio_s=plan_module._usual_cost(0.3),
    )
    most = max(filter(machine.carries_loop_of, range(1, 1_000)))
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \| (\d+) \| (\d+) \| \d+ \| (\d+) \|", page, re.MULTILINE)
    assert [row[0] for row in rows] == ["100", "1,000", "10,000"]
    for number, processes, engines, cores, sessions in rows:
        clients = int(number.replace(",", ""))
        assert int(processes) == math.ceil(clients / most)
        assert int(sessions) == math.ceil(clients / int(processes))
        assert int(cores) == math.ceil(int(engines) + clients * plan_module._usual_cost(0.3))
    assert f"talkers / {most}," in page
