"""The event log: what it keeps, what it discards first, and how it counts lost events."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.protocol.event_messages import EVENTS
from tests.session.test_outbox import entry, final, partial, pong, status
from trio_stt.protocol.event_objects import State
from trio_stt.protocol.events import Event, WarningEvent, decode, encode
from trio_stt.session.event_log import MAX_DISCONNECTED_EVENTS, MAX_KEPT_BYTES, EventLog

LONG = "x" * 20_000


def notice(text: str = "") -> WarningEvent:
    return WarningEvent(session_id="s", message=text)


events = st.sampled_from(
    [pong(1), notice(), notice(LONG), partial(1, 1, LONG), entry(1, 1), status(State.IDLE), final(1)]
)


def sent(log: EventLog, published: list[Event]) -> list[Event]:
    taken = []
    for event in published:
        log.put(event, disconnected=False)
        taken.append(log.take())
    return [decode(message) for message in taken if message is not None]


@given(st.lists(events, max_size=120), st.data())
def test_kept_events_are_ordered_bounded_and_durable_ones_outlive_ephemeral_ones(
    published: list[Event], data: st.DataObject
) -> None:
    log = EventLog(keeps=True)
    everything = sent(log, published)
    seq = data.draw(st.integers(0, len(published)))
    messages, missed = log.since(seq)
    kept = [decode(message) for message in messages]
    assert [event.seq for event in everything] == list(range(1, len(published) + 1))
    assert all(event in everything[seq:] for event in kept)
    numbers = [event.seq for event in kept if isinstance(event.seq, int)]
    assert numbers == sorted(set(numbers))
    assert missed == len(everything) - seq - len(kept)
    assert sum(len(encode(event)) for event in kept) <= 2 * MAX_KEPT_BYTES
    if sum(len(encode(event)) for event in everything[seq:]) <= MAX_KEPT_BYTES:
        assert missed == 0
    lost = [event for event in everything[seq:] if event not in kept]
    oldest_lost = max((e.seq for e in lost if isinstance(e, WarningEvent) and isinstance(e.seq, int)), default=0)
    assert all(number > oldest_lost for number in numbers)


def test_disconnected_client_keeps_the_newest_state_and_bounded_durable_events() -> None:
    log = EventLog(keeps=True)
    published = len(sent(log, [notice()]))
    for number in range(3):
        log.put(status(State.RECORDING), disconnected=True)
        log.put(partial(1, number, "x"), disconnected=True)
        log.put(entry(1, number), disconnected=True)
        log.put(EVENTS["heartbeat"], disconnected=True)
    assert log.waiting == 4
    for number in range(MAX_DISCONNECTED_EVENTS):
        log.put(final(number), disconnected=True)
    assert log.waiting == MAX_DISCONNECTED_EVENTS
    assert log.since(published) == ([], 4)
    first = log.take()
    assert first is not None
    event = decode(first)
    assert (type(event).__name__, event.seq) == ("Final", published + 5), "lost events leave a gap"
    assert log.since(published) == ([first], 4)


def test_withdrawn_text_replaces_waiting_partials_and_is_durable() -> None:
    log = EventLog(keeps=True)
    log.put(partial(1, 1, "x"), disconnected=True)
    withdrawn = replace(partial(1, 2, ""), retracted=True)
    log.put(withdrawn, disconnected=True)
    message = log.take()
    assert (message, log.take()) == (encode(replace(withdrawn, seq=1)), None)
    sent(log, [partial(1, 1, LONG) for _ in range(2 * MAX_KEPT_BYTES // len(LONG))])
    assert log.since(0)[0][0] == message


def test_log_without_resume_keeps_nothing() -> None:
    log = EventLog(keeps=False)
    sent(log, [notice(), final(1)])
    assert log.since(0) == ([], 2)
