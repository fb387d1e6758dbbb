"""HTTP bodies equal their golden files, JSON types included; and the statistics objects."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import goldens
from tests.protocol.event_messages import EVENTS
from tests.protocol.report_messages import REPORTS
from trio_stt.metrics import RECENT_SAMPLES, Distribution
from trio_stt.protocol.events import encode
from trio_stt.protocol.reports import Report, Statistics, encode_report


def on_wire(report: Report) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(encode_report(report))
    return fields


@pytest.mark.contract("1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7")
@pytest.mark.parametrize("name", REPORTS)
def test_body_equals_its_golden_file_plus_declared_additions(name: str) -> None:
    shown, _ = goldens.shared_part(on_wire(REPORTS[name]), name)
    assert goldens.written(shown) == goldens.written(goldens.golden(name))


def test_every_golden_body_is_compared() -> None:
    assert set(REPORTS) == {name for name in goldens.names() if name.startswith("http_")}


def test_every_declared_addition_is_still_sent() -> None:
    used: set[str] = set()
    for name, event in EVENTS.items():
        used |= goldens.shared_part(json.loads(encode(event)), goldens.kind_of(name))[1]
    for name, report in REPORTS.items():
        used |= goldens.shared_part(on_wire(report), name)[1]
    assert used == set(goldens.ADDED_FIELDS)


def test_golden_files_hold_no_additions() -> None:
    for name in goldens.names():
        assert goldens.shared_part(goldens.golden(name), goldens.kind_of(name))[1] == set()


@pytest.mark.contract("1.5")
@given(st.lists(st.floats(0, 1000), max_size=2 * RECENT_SAMPLES))
def test_statistics_object_has_its_five_fields_for_any_durations(durations_s: list[float]) -> None:
    distribution = Distribution()
    for duration_s in durations_s:
        distribution.add(duration_s)
    shown = on_wire(Statistics.of(distribution.snapshot()))
    assert {key: type(value) for key, value in shown.items()} == {
        "count": int,
        "avgMs": float,
        "maxMs": float,
        "p50Ms": float,
        "p95Ms": float,
    }
    recent = sorted(durations_s[-RECENT_SAMPLES:])
    if recent:
        assert shown["count"] == len(durations_s)
        assert shown["maxMs"] == max(durations_s) * 1000
        assert shown["p95Ms"] == recent[round((len(recent) - 1) * 0.95)] * 1000
    else:
        assert set(shown.values()) == {0}
