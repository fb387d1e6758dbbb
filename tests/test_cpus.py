"""Usable cores: the CPU set, limited by the quotas of control groups of both versions."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from trio_stt.runtime.cpus import usable_cores

V1 = "sys/fs/cgroup/cpu,cpuacct"


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def machine(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({}, 8, id="no control groups"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8, id="no quota"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2, id="container"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2, id="two and a half"
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "20000 100000\n"}, 1, id="a fifth"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8, id="above the set"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/system.slice/trio-stt.service\n",
                "sys/fs/cgroup/system.slice/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/system.slice/trio-stt.service/cpu.max": "max 100000\n",
            },
            3,
            id="quota of the group around it",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/not/mounted/here\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
            1,
            id="path outside the container",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/1\n",
                f"{V1}/docker/1/cpu.cfs_quota_us": "400000\n",
                f"{V1}/docker/1/cpu.cfs_period_us": "100000\n",
            },
            4,
            id="version 1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                f"{V1}/cpu.cfs_quota_us": "-1\n",
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            8,
            id="version 1 without a quota",
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "many\n"}, 8, id="unreadable"),
    ],
)
def test_quotas_limit_the_cpu_set(files: Mapping[str, str], cores: int, tmp_path: Path) -> None:
    assert usable_cores(machine(tmp_path, files)) == cores


def test_this_machine_has_a_core() -> None:
    assert usable_cores() >= 1
