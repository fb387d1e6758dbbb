"""Resource use of a process on this machine, read through psutil. It must not know what the process is."""

from dataclasses import dataclass

import psutil

from trio_stt.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUse:
    """A process at one moment.

    Attributes:
        cpu_s: CPU time of all its threads since it started, ended threads included.
        main_thread_cpu_s: CPU time of its first thread: in a Python server, the event loop.
        rss_bytes: Resident memory.
        threads: Number of threads.
        descriptors: Open files and sockets.
    """

    cpu_s: float
    main_thread_cpu_s: float
    rss_bytes: int
    threads: int
    descriptors: int


def process_use(pid: int) -> ProcessUse:
    """Measure a process of this machine.

    Raises:
        SettingError: The process does not exist, or belongs to another user.
    """
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            total = process.cpu_times()
            threads = process.threads()
            return ProcessUse(
                cpu_s=total.user + total.system,
                main_thread_cpu_s=sum(thread.user_time + thread.system_time for thread in threads if thread.id == pid),
                rss_bytes=process.memory_info().rss,
                threads=len(threads),
                descriptors=process.num_fds(),
            )
    except psutil.Error as error:
        raise SettingError(f"--pid {pid}: cannot be measured: {error.msg}") from None
