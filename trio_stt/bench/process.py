"""What a process costs, as Linux counts it. It must not know what the process is."""

import os
from dataclasses import dataclass
from pathlib import Path

from trio_stt.errors import SettingError

_TICKS_HZ = os.sysconf("SC_CLK_TCK")
_USER_FIELD, _SYSTEM_FIELD = 11, 12  # of /proc/PID/stat, counted behind the name


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUse:
    """A process at one moment.

    Attributes:
        cpu_s: CPU time of all its threads since it began, ended ones included.
        main_thread_cpu_s: Of that, its first thread's: in a Python server the event loop.
        rss_bytes: Memory that it holds.
        threads: It has.
        descriptors: Files and sockets that it holds open.
    """

    cpu_s: float
    main_thread_cpu_s: float
    rss_bytes: int
    threads: int
    descriptors: int


def process_use(pid: int) -> ProcessUse:
    """What a process of this machine has used so far.

    Raises:
        SettingError: There is no such process, it is somebody else's, or the system has no /proc.
    """
    folder = Path("/proc") / str(pid)
    try:
        return ProcessUse(
            cpu_s=_cpu_s(folder / "stat"),
            main_thread_cpu_s=_cpu_s(folder / "task" / str(pid) / "stat"),
            rss_bytes=int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            threads=len(list((folder / "task").iterdir())),
            descriptors=len(list((folder / "fd").iterdir())),
        )
    except OSError as error:
        raise SettingError(f"--pid {pid}: cannot be measured: {error.strerror}") from None


def _cpu_s(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[_USER_FIELD]) + int(fields[_SYSTEM_FIELD])) / _TICKS_HZ
