"""Output of results: a table and JSON. Pure: it must not measure anything."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from trio_stt.bench.figures import Figures, Percentiles

_LATE_MS = 20.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one run.

    Attributes:
        clients: Number of clients.
        figures: The figures of the run.
        violations: Messages about the limits that were exceeded.
    """

    clients: int
    figures: Figures
    violations: list[str]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one command measured.

    Attributes:
        command: The command line.
        machine: Processor, cores and Python of the machine.
        server: URL of the server, or the flags of the server that was started.
        talking: Shares of the time in which clients spoke.
        packet_ms: Length of a packet.
        rate_hz: Sample rate of the packets.
        duration_s: How long each run was measured.
        knee: Most clients within all limits; None if only one number of clients was measured.
        runs: Results, by number of clients.
    """

    command: str
    machine: str
    server: str
    talking: list[float]
    packet_ms: float
    rate_hz: int
    duration_s: float
    knee: int | None
    runs: list[Run]


def as_json(result: Result) -> str:
    """The result as indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(result)).decode() + "\n"


def _times(one: Percentiles) -> str:
    return f"{one.p50_ms:.0f} / {one.p95_ms:.0f} / {one.p99_ms:.0f}" if one.count else "none"


_ROWS: Mapping[str, Callable[[Figures], str]] = {
    "last word to final, ms, p50 / p95 / p99": lambda f: _times(f.final),
    "  finals measured; cut while speaking": lambda f: f"{f.final.count}; {f.cut_segments}",
    "  silence that the server waits for, ms": lambda f: f"{f.silence_ms:.0f}",
    "first word to first partial, ms": lambda f: _times(f.first_partial),
    "between partials, ms": lambda f: _times(f.partial_interval),
    "partials per second of speech": lambda f: f"{f.partials_per_s:.2f}",
    "revised words per shown word": lambda f: f"{f.revised_words_per_shown_word:.3f}",
    "word error rate": lambda f: "not known" if f.word_error_rate is None else f"{f.word_error_rate:.2%}",
    "ping, ms": lambda f: _times(f.ping),
    "connect to hello, ms": lambda f: _times(f.hello),
    "audio dropped, s": lambda f: f"{f.dropped_s:g}",
    "CPU ms per second of audio": lambda f: f"{f.server.cpu_s_per_audio_s * 1000:.2f}" if f.server else "not known",
    "cores used; share outside the loop": lambda f: (
        f"{f.server.cores:.2f}; {f.server.off_loop_share:.0%}" if f.server else "not known"
    ),
    "memory, MiB; threads; descriptors": lambda f: (
        f"{f.server.rss_mib:.0f}; {f.server.threads}; {f.server.descriptors}" if f.server else "not known"
    ),
    "clients' own CPU ms per second of audio": lambda f: f"{f.clients_cpu_s_per_audio_s * 1000:.2f}",
    "clients' own delay, ms": lambda f: _times(f.sent_late),
}


def as_table(runs: Sequence[Run]) -> str:
    """A table with one column for each run; violations and doubts about the figures stand below."""
    cells = [["clients", *(str(run.clients) for run in runs)]]
    cells += [[name, *(row(run.figures) for run in runs)] for name, row in _ROWS.items()]
    widths = [max(len(line[column]) for line in cells) for column in range(len(runs) + 1)]
    lines = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in cells]
    for run in runs:
        lines += [f"{run.clients} clients: {text}" for text in run.violations]
        if run.figures.sent_late.p99_ms > _LATE_MS:
            lines.append(
                f"{run.clients} clients: the clients themselves sent up to {run.figures.sent_late.p99_ms:.0f} ms late"
                " (p99) because they lacked CPU; all times are too long by about that."
            )
    return "\n".join(lines) + "\n"
