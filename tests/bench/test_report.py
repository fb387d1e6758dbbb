import xml.etree.ElementTree as ET

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.bench.sample_runs import record, run_result, segment
from trio_stt.bench.figures import Percentiles, figures
from trio_stt.bench.report import Result, Run, as_json, as_table
from trio_stt.bench.svg import line_chart

SEEN = figures(run_result(record(segment(1, 1.7, 6.0, 6.1, "one two three four five"))))
RUN = Run(clients=1, figures=SEEN, violations=[])


def test_table_has_a_column_for_each_run() -> None:
    lines = as_table([RUN, Run(clients=16, figures=SEEN, violations=["2 s of audio were dropped"])]).splitlines()
    assert lines[0].split() == ["clients", "1", "16"]
    assert lines[1].split()[-5:] == ["600", "/", "600", "/", "600"]
    assert lines[-1] == "16 clients: 2 s of audio were dropped"
    assert [line.split()[-2:] for line in lines if "own CPU" in line] == [["58.82", "58.82"]]
    table = lines[:-1]
    assert len({len(line) for line in table}) == 1


def test_late_clients_are_reported_below_the_table() -> None:
    late = msgspec.structs.replace(SEEN, sent_late=Percentiles(count=9, p99_ms=80.0))
    assert "80 ms late" in as_table([Run(clients=1, figures=late, violations=[])])


def test_json_contains_everything() -> None:
    result = Result(
        command="trio-stt bench",
        machine="a machine",
        server="trio-stt serve",
        talking=[1.0],
        packet_ms=40.0,
        rate_hz=48_000,
        duration_s=30.0,
        knee=None,
        runs=[RUN],
    )
    assert msgspec.json.decode(as_json(result), type=Result) == result


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1e7)), max_size=20))
@example([(1, 5e-324)])
def test_chart_keeps_its_points_inside(points: list[tuple[float, float]]) -> None:
    chart = ET.fromstring(line_chart({"a < b": points}, title="t & t", x_label="x", y_label="y"))  # noqa: S314 - our own
    dots = chart.findall("{*}circle")
    assert len(dots) == len(points)
    for dot in dots:
        assert 70 <= float(dot.attrib["cx"]) <= 700
        assert 50 <= float(dot.attrib["cy"]) <= 340


def test_chart_axes_point_up_and_to_the_right() -> None:
    chart = ET.fromstring(line_chart({"a": [(1, 1), (2, 5)]}, title="", x_label="", y_label=""))  # noqa: S314 - our own
    low, high = chart.findall("{*}circle")
    assert float(low.attrib["cx"]) < float(high.attrib["cx"])
    assert float(low.attrib["cy"]) > float(high.attrib["cy"])


@pytest.mark.parametrize("series", [{}, {"nothing": []}, {"zero": [(0.0, 0.0)]}])
def test_chart_without_points(series: dict[str, list[tuple[float, float]]]) -> None:
    assert line_chart(series, title="t", x_label="x", y_label="y").startswith("<svg")
