"""How many cores this process may use: its CPU set, limited by the CPU quota of its control groups.

`os.cpu_count()` counts the machine's cores, also in a container that may use two of 64.
"""

import os
from pathlib import Path

_V2_ROOT = "sys/fs/cgroup"
_V1_ROOTS = ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")


def usable_cores(root: Path = Path("/")) -> int:
    """The cores that this process may use, at least 1.

    A quota of 2.5 cores counts as 2: with a third busy thread, the kernel would stop all threads, the event loop
    included, for a part of every period.

    Args:
        root: Where `proc` and `sys` are looked for.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(int(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> list[float]:
    """The quota of each control group around this process that has one, in cores."""
    found = []
    for folder in _groups(root):
        limit = _read(folder / "cpu.max").split() or [
            _read(folder / "cpu.cfs_quota_us").strip(),
            _read(folder / "cpu.cfs_period_us").strip(),
        ]
        # Without a quota it is "max" (version 2) or -1 (version 1).
        if len(limit) == 2 and limit[0].isdecimal() and limit[1].isdecimal() and int(limit[1]):  # noqa: PLR2004 - quota and period
            found.append(int(limit[0]) / int(limit[1]))
    return found


def _groups(root: Path) -> list[Path]:
    """The folders of this process's control groups for CPU time, and of those around them.

    In a container, `proc/self/cgroup` may name a path that is not mounted there; the mounted root is then its group.
    """
    folders: list[Path] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mounts = [root / _V2_ROOT]
        elif "cpu" in controllers.split(","):
            mounts = [root / mount for mount in _V1_ROOTS]
        else:
            continue
        for mount in mounts:
            own = mount / path.lstrip("/")
            folders += [own, *(folder for folder in own.parents if folder.is_relative_to(mount))]
    return folders


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
