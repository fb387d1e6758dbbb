"""The figures of all processes of a server for Prometheus: added up, with the counters of processes that have ended.

A counter must never fall, or Prometheus takes it for a restart. So each process remembers the counters of others
that it has seen, and sends them with its own: what was shown is lost only if all processes end that have shown it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

_Sample = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a sample and its labels."""
_ADDED = frozenset({"counter", "summary", "histogram"})
_LARGEST = frozenset({"trio_stt_max_sessions", "trio_stt_lane_up", "python_info"})
"""Gauges that mean the same in every process, or what one process has."""
_LEAST = frozenset({"process_start_time_seconds"})
_MAX_ENDED = 256
"""Ended processes whose counters are remembered. This bounds the memory where processes keep ending."""


class Family(msgspec.Struct, frozen=True):
    """A metric as another process sends it: `samples` are names, labels and values."""

    name: str
    text: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one process sends.

    Attributes:
        instance: The number of the process.
        families: Its own metrics.
        ended: The last that it has seen of processes that have ended: counters only, by their number.
    """

    instance: int
    families: list[Family]
    ended: dict[int, list[Family]]


class SeenCounters:
    """The counters of other processes, as they were last seen."""

    def __init__(self) -> None:
        self._seen: dict[int, list[Family]] = {}

    def note(self, received: Sequence[Figures]) -> None:
        """Remember what others have sent."""
        for figures in received:
            for instance, families in {**figures.ended, figures.instance: figures.families}.items():
                counters = [family for family in families if family.kind in _ADDED]
                self._seen[instance] = _larger(self._seen.pop(instance, []), counters)
        for instance in list(self._seen)[:-_MAX_ENDED]:
            del self._seen[instance]

    def ended(self, living: Iterable[int]) -> dict[int, list[Family]]:
        """Those of processes that have ended, by their number."""
        return {instance: families for instance, families in self._seen.items() if instance not in living}


def families_of(registry: CollectorRegistry) -> list[Family]:
    """The metrics of this process now."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            [(sample.name, dict(sample.labels), sample.value) for sample in metric.samples],
        )
        for metric in registry.collect()
    ]


def merged_families(processes: Iterable[Sequence[Family]]) -> Iterator[Metric]:
    """One metric of each name for all processes; the first one's order."""
    by_name: dict[str, list[Family]] = {}
    for families in processes:
        for family in families:
            by_name.setdefault(family.name, []).append(family)
    for name, families in by_name.items():
        metric = Metric(name, families[0].text, families[0].kind)
        for (sample, labels), value in _merged(families).items():
            metric.add_sample(sample, dict(labels), value)
        yield metric


def _merged(families: Sequence[Family]) -> Mapping[_Sample, float]:
    values: dict[_Sample, list[float]] = {}
    for family in families:
        for sample, labels, value in family.samples:
            values.setdefault((sample, tuple(labels.items())), []).append(value)
    name, kind = families[0].name, families[0].kind
    if name in _LEAST:
        return {sample: min(each) for sample, each in values.items()}
    if kind == "info" or name in _LARGEST:
        return {sample: max(each) for sample, each in values.items()}
    return {sample: sum(each) for sample, each in values.items()}


def _larger(old: Sequence[Family], new: Sequence[Family]) -> list[Family]:
    """The counters of one process from two times, in any order: they only grow."""
    names = dict.fromkeys(family.name for family in (*old, *new))
    found = []
    for name in names:
        both = [family for family in (*new, *old) if family.name == name]
        values: dict[_Sample, float] = {}
        for family in both:
            for sample, labels, value in family.samples:
                key = (sample, tuple(labels.items()))
                values[key] = max(value, values.get(key, value))
        samples = [(sample, dict(labels), value) for (sample, labels), value in values.items()]
        found.append(Family(name, both[0].text, both[0].kind, samples))
    return found
