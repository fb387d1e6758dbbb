"""Made-up records of benchmark runs."""

from typing import Any

from trio_stt.bench.client_record import ClientRecord, ObservedUtterance, RunResult
from trio_stt.bench.process import ProcessUse
from trio_stt.bench.speech_plan import Clip, Plan, plan_clients

CLIP = Clip(pcm_path="", length_s=5.0, words="One two three. Four five.", speech=((0.5, 2.0), (3.0, 4.5)))
"""Two phrases. Sent from second 1.0 on, they last from 1.5 to 3.0 and from 4.0 to 5.5."""


def segment(
    number: int, started_s: float, ended_s: float, final_s: float | None, text: str, **more: Any
) -> ObservedUtterance:
    return ObservedUtterance(
        segment_id=number, started_s=started_s, ended_s=ended_s, final_s=final_s, text=text, **more
    )


def record(*segments: ObservedUtterance, **changes: Any) -> ClientRecord:
    facts: dict[str, Any] = {
        "number": 0,
        "begun_s": 100.0,
        "hello_s": 0.01,
        "silence_s": 0.5,
        "audio_s": 8.5,
        "clips": [(0, 1.0)],
        "segments": list(segments),
        "pings_s": [0.001],
        "late_s": [0.0],
        "dropped_s": 0.0,
        "failures": [],
    }
    return ClientRecord(**(facts | changes))


def run_result(
    *records: ClientRecord,
    clip: Clip = CLIP,
    steady_from_s: float = 0.0,
    before: ProcessUse | None = None,
    after: ProcessUse | None = None,
) -> RunResult:
    plan = Plan(
        url="ws://localhost/",
        rate_hz=48_000,
        packet_s=0.04,
        begin_s=100.0,
        duration_s=10.0,
        clips=(clip,),
        clients=plan_clients(len(records), talking=[1.0], stagger_s=0.0, clips=1),
    )
    return RunResult(
        plan=plan, steady_from_s=steady_from_s, records=records, clients_cpu_s=0.5, before=before, after=after
    )
