import msgspec
import pytest
import trio
import trio.testing
from msgspec.structs import replace

from tests.lanes.fakes import virtual_time
from tests.protocol.event_messages import EVENTS
from trio_stt.protocol.event_objects import State
from trio_stt.protocol.events import Event, Final, Pong, Realtime, Status, Timeline, decode
from trio_stt.session.event_log import LAG_EVENTS
from trio_stt.session.outbox import BATCH_EVENTS, MAX_EVENTS, SEND_TIMEOUT_S, ClientStalled, Delivery, Outbox


class Reader:
    """A client that reads only while the test allows it."""

    closed_cleanly = True

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.seqs: list[object] = []
        self.sizes: list[int] = []  # messages of each `send`
        self.reads = trio.Event()
        self.aborted = False

    async def receive(self) -> str | bytes:
        raise NotImplementedError

    async def send(self, *messages: str) -> None:
        await self.reads.wait()
        self.sizes.append(len(messages))
        for event in map(decode, messages):
            self.seqs.append(event.seq)
            self.events.append(replace(event, seq=msgspec.UNSET))

    def abort(self) -> None:
        self.aborted = True


def partial(segment_id: int, sequence: int, delta: str) -> Realtime:
    changes = {"sequence": sequence, "stable_delta": delta, "committed_stable_delta": delta}
    return replace(EVENTS["realtime"], segment_id=segment_id, **changes)


def entry(segment_id: int, sequence: int) -> Timeline:
    return replace(EVENTS["timeline_realtime_transcript"], segment_id=segment_id, sequence=sequence)


def status(state: State) -> Status:
    return replace(EVENTS["status"], state=state)


def final(segment_id: int) -> Final:
    return replace(EVENTS["final"], segment_id=segment_id)


def pong(number: int) -> Pong:
    return Pong(session_id="s", server_time=float(number))


def connected() -> tuple[Outbox, Reader, Delivery]:
    outbox, reader = Outbox(), Reader()
    return outbox, reader, outbox.attach(reader)


async def deliver(outbox: Outbox, reader: Reader, delivery: Delivery) -> list[Event]:
    reader.reads.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(delivery.run)
        await outbox.wait_idle()
        nursery.cancel_scope.cancel()
    assert reader.seqs == list(range(1, len(reader.events) + 1))
    return reader.events


@pytest.mark.contract("2.4")
async def test_client_that_keeps_up_gets_every_event_in_order() -> None:
    outbox, reader, delivery = connected()
    events: list[Event] = [status(State.VOICE), partial(1, 1, "a"), entry(1, 1), status(State.RECORDING), final(1)]
    for event in events:
        outbox.put(event)
    assert await deliver(outbox, reader, delivery) == events


async def test_waiting_events_are_sent_in_batches() -> None:
    outbox, reader, delivery = connected()
    for number in range(BATCH_EVENTS + 3):
        outbox.put(pong(number))
    await deliver(outbox, reader, delivery)
    assert reader.sizes == [BATCH_EVENTS, 3]


async def test_lagging_client_gets_only_the_newest_status_and_partial_with_joined_deltas() -> None:
    outbox, reader, delivery = connected()
    for number in range(LAG_EVENTS):
        outbox.put(pong(number))
    for sequence, delta in ((1, "one"), (2, ""), (3, " two")):
        outbox.put(partial(1, sequence, delta))
        outbox.put(entry(1, sequence))
        outbox.put(status(State.RECORDING))
    outbox.put(final(1))
    outbox.put(partial(2, 1, "other"))
    outbox.put(status(State.IDLE))
    lagged = (await deliver(outbox, reader, delivery))[LAG_EVENTS:]
    assert lagged == [partial(1, 3, "one two"), entry(1, 3), final(1), partial(2, 1, "other"), status(State.IDLE)]


async def serve(delivery: Delivery) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(delivery.run)
        nursery.start_soon(delivery.watch)


async def test_timeline_entry_of_a_sent_partial_is_kept() -> None:
    outbox, reader, delivery = connected()
    outbox.put(partial(1, 1, "one"))
    outbox.put(entry(1, 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(delivery.run)
        await trio.testing.wait_all_tasks_blocked()  # the first partial is being sent
        for number in range(LAG_EVENTS):
            outbox.put(pong(number))
        outbox.put(partial(1, 2, " two"))
        outbox.put(entry(1, 2))
        reader.reads.set()
        await outbox.wait_idle()
        nursery.cancel_scope.cancel()
    assert reader.events[:2] == [partial(1, 1, "one"), entry(1, 1)]
    assert reader.events[-2:] == [partial(1, 2, " two"), entry(1, 2)]


@pytest.mark.contract("11/4")
@virtual_time
async def test_client_that_reads_nothing_is_disconnected_after_the_timeout() -> None:
    outbox, reader, delivery = connected()
    outbox.put(final(1))
    with pytest.RaisesGroup(pytest.RaisesExc(ClientStalled, match="read nothing")):
        await serve(delivery)
    assert trio.current_time() == SEND_TIMEOUT_S
    assert reader.aborted


@virtual_time
async def test_slow_client_that_reads_every_event_stays_connected() -> None:
    outbox, reader, delivery = connected()
    reader.reads.set()

    async def speak() -> None:
        for number in range(10):
            await trio.sleep(0.9 * SEND_TIMEOUT_S)
            outbox.put(pong(number))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, delivery)
        await speak()
        await outbox.wait_idle()
        nursery.cancel_scope.cancel()
    assert len(reader.events) == 10
    assert not reader.aborted


@pytest.mark.contract("11/4")
async def test_too_many_irreplaceable_events_disconnect_the_client() -> None:
    outbox, _, delivery = connected()
    for number in range(MAX_EVENTS + 1):
        outbox.put(final(number))
    with pytest.RaisesGroup(pytest.RaisesExc(ClientStalled, match="more than 512")):
        await serve(delivery)


async def test_status_and_partials_alone_never_overflow() -> None:
    outbox, reader, delivery = connected()
    for sequence in range(3 * MAX_EVENTS):
        outbox.put(partial(1, sequence, ""))
        outbox.put(status(State.RECORDING))
    assert len(await deliver(outbox, reader, delivery)) <= LAG_EVENTS + 2
