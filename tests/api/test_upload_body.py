"""The times in which the body of an upload must arrive, on a virtual clock."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from trio_stt.api.request_error import RequestError
from trio_stt.api.upload_body import TimedBody


async def _sent(parts: list[tuple[float, int]]) -> AsyncIterator[bytes]:
    """The parts of a body: seconds before each, and its bytes."""
    for pause_s, size_bytes in parts:
        await trio.sleep(pause_s)
        yield bytes(size_bytes)


async def _received(parts: list[tuple[float, int]]) -> int:
    """The bytes of a body that arrives whole."""
    body, received_bytes = TimedBody(_sent(parts)), 0
    while part := await body.next_part():
        received_bytes += len(part)
    return received_bytes


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([(1.0, 4_000)] * 500, id="4 kB/s for minutes"),
        pytest.param([(0.5, 500)] * 1_000, id="1 kB/s in small parts"),
        pytest.param([(1.0, 4_000)] * 9 + [(20.0, 4_000)] + [(1.0, 4_000)] * 9, id="pauses of a mobile network"),
        pytest.param([(0.0, 1_000_000), (29.0, 1)], id="a short end"),
        pytest.param([(29.0, 44)], id="a short file, late"),
        pytest.param([], id="empty"),
    ],
)
async def test_slow_body_arrives(autojump_clock: MockClock, parts: list[tuple[float, int]]) -> None:
    assert autojump_clock.autojump_threshold == 0.0
    assert await _received(parts) == sum(size_bytes for _, size_bytes in parts)


@pytest.mark.parametrize(
    ("parts", "at_s"),
    [
        pytest.param([(1.0, 1)] * 700, 30.0, id="a byte a second"),
        pytest.param([(0.0, 1_000_000)] + [(1.0, 1)] * 700, 30.0, id="a byte a second after much"),
        pytest.param([(1.0, 400)] * 700, 30.0, id="400 B/s"),
        pytest.param([(0.0, 100), (3_600.0, 1)], 30.0, id="nothing more"),
    ],
)
async def test_body_below_the_least_rate_is_refused(
    autojump_clock: MockClock, parts: list[tuple[float, int]], at_s: float
) -> None:
    start_s = autojump_clock.current_time()
    with pytest.raises(RequestError, match="less than 500 bytes per second for 30 s") as caught:
        await _received(parts)
    assert caught.value.status == 408
    assert autojump_clock.current_time() - start_s == pytest.approx(at_s)


async def test_body_of_more_than_ten_minutes_is_refused(autojump_clock: MockClock) -> None:
    start_s = autojump_clock.current_time()
    with pytest.raises(RequestError, match="the body took more than 600 s") as caught:
        await _received([(1.0, 4_000)] * 700)
    assert caught.value.status == 408
    assert autojump_clock.current_time() - start_s == pytest.approx(600.0)
