from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.bench.speech_plan import MIN_PAUSE_S, Clip, Plan, plan_clients, script

CLIPS = tuple(
    Clip(pcm_path=f"{length_s}.pcm", length_s=length_s, words=None, speech=((0.1, length_s - 0.1),))
    for length_s in (3.3, 10.0, 6.01)
)


def plan(*, clients: int = 1, talking: float = 1.0, duration_s: float = 60.0, stagger_s: float = 0.0) -> Plan:
    return Plan(
        url="ws://localhost/",
        rate_hz=48_000,
        packet_s=0.04,
        begin_s=0.0,
        duration_s=duration_s,
        clips=CLIPS,
        clients=plan_clients(clients, talking=[talking], stagger_s=stagger_s, clips=len(CLIPS)),
    )


@given(st.floats(0, 1), st.floats(1, 300), st.integers(1, 5))
def test_script_has_no_gap_and_ends(talking: float, duration_s: float, clients: int) -> None:
    made = plan(talking=talking, duration_s=duration_s, clients=clients, stagger_s=1.0)
    for client in made.clients:
        steps = list(script(made, client))
        assert steps[0].start_packet == 0
        for step, following in pairwise(steps):
            assert following.start_packet == step.start_packet + step.packets
        assert all(step.start_packet * 0.04 < duration_s for step in steps if step.clip is not None)


@pytest.mark.parametrize("talking", [0.1, 0.2, 0.5])
def test_script_keeps_its_share_of_speech(talking: float) -> None:
    made = plan(talking=talking, duration_s=5_000.0)
    steps = list(script(made, made.clients[0]))
    spoken = sum(step.packets for step in steps if step.clip is not None)
    assert spoken / sum(step.packets for step in steps) == pytest.approx(talking, rel=0.02)


@pytest.mark.parametrize("duration_s", [15.0, 40.0, 200.0])
def test_share_of_clients_that_speak_at_once(duration_s: float) -> None:
    clients, talking = 100, 0.2
    made = plan(talking=talking, duration_s=duration_s, clients=clients)
    spoken_s = 0.0
    for client in made.clients:
        for step in script(made, client):
            if step.clip is not None:
                begun_s = client.delay_s + step.start_packet * 0.04
                spoken_s += min(duration_s, begun_s + step.packets * 0.04) - begun_s
    assert spoken_s / (clients * talking * duration_s) == pytest.approx(1.0, rel=0.2)


def test_full_share_still_has_pauses_between_clips() -> None:
    made = plan()
    pauses = [step for step in script(made, made.clients[0]) if step.clip is None]
    assert min(step.packets for step in pauses) * 0.04 >= MIN_PAUSE_S - 0.21  # the lead-in is the shortest pause
    assert all(step.packets * 0.04 >= MIN_PAUSE_S for step in pauses[1:])


def test_zero_share_streams_room_noise() -> None:
    made = plan(talking=0.0)
    assert {step.clip for step in script(made, made.clients[0])} == {None}


def test_clients_differ_in_share_clip_and_start() -> None:
    clients = plan_clients(4, talking=[0.5, 1.0], stagger_s=2.0, clips=3)
    assert [client.talking for client in clients] == [0.5, 1.0, 0.5, 1.0]
    assert [client.first_clip for client in clients] == [0, 1, 2, 0]
    assert [round(client.delay_s, 1) for client in clients] == [0.0, 0.6, 1.0, 1.6]


@pytest.mark.parametrize("packet_s", [0.01, 0.02, 0.04, 0.1])
def test_packets_of_clients_are_out_of_phase(packet_s: float) -> None:
    for stagger_s in (0.0, 2.0, 5.0):
        phases = sorted(
            client.delay_s % packet_s for client in plan_clients(50, talking=[1.0], stagger_s=stagger_s, clips=1)
        )
        assert max(later - earlier for earlier, later in pairwise([*phases, packet_s])) < packet_s / 8
