"""The plan of a run: clips of speech, and which client sends which clip when.

Plans are frozen data that is sent to the worker processes. This module owns the arithmetic of a client's script. It
must not read a clock, connect or read files.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import msgspec

LEAD_IN_S = 1.0
"""Room noise before the first word, as after a user opens the page."""
MIN_PAUSE_S = 1.2
"""Shortest pause between two clips: long enough that every server ends an utterance there."""
LEAD_OUT_S = 2.5
"""Room noise after the last word, so that its utterance ends by silence and not by the `stop`."""
_OUT_OF_STEP_S = 0.12
"""Spread of the clients' phases: several packets of any usual length."""
_MIN_SHARE = 0.001
_GOLDEN = 0.6180339887  # the fractional parts of its multiples are evenly distributed in 0 to 1 (Weyl)


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A recording.

    Attributes:
        pcm_path: File of raw 16-bit little-endian mono samples at the plan's rate.
        length_s: Its length in seconds.
        words: Its transcript; None if unknown.
        speech: Intervals of speech in seconds from its start, ascending, with real pauses between them.
    """

    pcm_path: str
    length_s: float
    words: str | None
    speech: tuple[tuple[float, float], ...]


class ClientPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of one client.

    Attributes:
        number: Counted from 0.
        delay_s: When it connects, in seconds after the plan begins.
        talking: Share of the time in which it speaks, 0 to 1; the rest is room noise.
        first_clip: Index of its first clip; the others follow in order.
    """

    number: int
    delay_s: float
    talking: float
    first_clip: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a run.

    Attributes:
        url: The URL of the server's WebSocket.
        rate_hz: Sample rate of the packets.
        packet_s: Length of a packet in seconds.
        begin_s: When the run begins, on the machine's monotonic clock.
        duration_s: After this many seconds no client begins another clip.
        clips: The clips to send.
        clients: The plans of the clients.
        api_key: The API key that each client sends; empty for none.
        ping_every_s: Interval between two pings of a client.
    """

    url: str
    rate_hz: int
    packet_s: float
    begin_s: float
    duration_s: float
    clips: tuple[Clip, ...]
    clients: tuple[ClientPlan, ...]
    api_key: str = ""
    ping_every_s: float = 1.0

    @property
    def packet_samples(self) -> int:
        """Number of samples in a packet."""
        return round(self.packet_s * self.rate_hz)


class ScriptStep(msgspec.Struct, frozen=True, kw_only=True):
    """Packets of a clip or, if `clip` is None, of room noise. `start_packet` counts from the client's first packet."""

    clip: int | None
    start_packet: int
    packets: int


def plan_clients(clients: int, *, talking: Sequence[float], stagger_s: float, clips: int) -> tuple[ClientPlan, ...]:
    """Plan clients that cycle through the given shares and clips and connect evenly over `stagger_s` seconds.

    A small offset for each client keeps their packets out of phase, as with real microphones: packets of all clients at
    the same time would favour some servers and strain others.
    """
    return tuple(
        ClientPlan(
            number=number,
            delay_s=stagger_s * number / clients + _OUT_OF_STEP_S * (number * _GOLDEN % 1.0),
            talking=talking[number % len(talking)],
            first_clip=number % clips,
        )
        for number in range(clients)
    )


def script(plan: Plan, client: ClientPlan) -> Iterator[ScriptStep]:
    """The audio of a client, without gaps: room noise, clips with pauses that keep its share of speech, room noise."""
    packet_s = plan.packet_samples / plan.rate_hz
    spent_s = plan.duration_s - client.delay_s
    position = 0

    def step(clip: int | None, length_s: float) -> ScriptStep:
        nonlocal position
        packets = max(1, -int(-length_s // packet_s))
        step_made = ScriptStep(clip=clip, start_packet=position, packets=packets)
        position += packets
        return step_made

    def pause_after(clip: Clip) -> float:
        return max(MIN_PAUSE_S, clip.length_s * (1 / max(client.talking, _MIN_SHARE) - 1))

    def left(pause_s: float) -> float:
        return min(pause_s, max(MIN_PAUSE_S, spent_s - position * packet_s))

    if not client.talking:
        yield step(None, max(LEAD_IN_S, spent_s))
        return
    # The clients start at points spread over the cycle of clip and pause, as if the run had begun long ago. A clip
    # cannot start in its middle: the first half of those that would starts at once, the rest half a clip later.
    first = plan.clips[client.first_clip]
    until_clip_s = (client.number * _GOLDEN % 1.0) * (first.length_s + pause_after(first)) - first.length_s / 2
    yield step(None, LEAD_IN_S + left(max(0.0, until_clip_s)) if client.talking < 1 else LEAD_IN_S)
    for number in count(client.first_clip):
        if position * packet_s >= spent_s:
            break
        clip = plan.clips[number % len(plan.clips)]
        yield step(number % len(plan.clips), clip.length_s)
        yield step(None, left(pause_after(clip)))
    yield step(None, LEAD_OUT_S)
