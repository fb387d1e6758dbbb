"""What the parts of one session share: its ids, settings, buffers and state.

Parts refer to the context, never the context to a part, so that all of them are freed with the session's last task,
without the garbage collector.
"""

from dataclasses import dataclass, field

from trio_stt.protocol.event_objects import State
from trio_stt.session.active_utterance import ActiveUtterance
from trio_stt.session.connection import ConnectionStatus
from trio_stt.session.counters import SessionCounters
from trio_stt.session.host import SessionHost
from trio_stt.session.inbox import Inbox
from trio_stt.session.outbox import Outbox
from trio_stt.settings import Settings
from trio_stt.speech.pipeline import SpeechPipeline


@dataclass(slots=True)
class SessionState:
    """What a session does now, as of the audio processed so far.

    Attributes:
        streaming: Whether the client streams.
        utterance: The running utterance.
        next_segment_id: Number of the next utterance on the wire.
        waiting_finals: Ended utterances that wait for their final, without the one being transcribed.
        degraded: Whether partials come less often because the lane is overloaded.
        published: State of the last `status` event.
    """

    streaming: bool = False
    utterance: ActiveUtterance | None = None
    next_segment_id: int = 1
    waiting_finals: int = 0
    degraded: bool = False
    published: State = State.IDLE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SessionContext:
    """What the parts of one session share.

    Attributes:
        session_id: 32 hexadecimal digits.
        host: The server.
        settings: In force when the session began; `host.settings` are those in force now.
        live: Whether audio comes as it is spoken; a file waits where live audio is shed, never stalls or resumes, and
            needs no speaker slot.
        shows_causes: Whether the client may read why an engine failed: its message may hold addresses and secrets.
        resumes_turns: Whether the client understands that a turn goes on after its final.
        grace_s: Seconds that a disconnected client has to resume; 0 for none.
        pipeline: Turns audio into utterances.
        inbox: Received audio and commands that wait to be processed.
        outbox: Events that wait to be sent.
        connection_status: Whether the client is connected.
        counters: Counted by all parts.
        state: Kept up to date by the parts that change it.
    """

    session_id: str
    host: SessionHost
    settings: Settings
    live: bool
    shows_causes: bool
    resumes_turns: bool
    grace_s: float
    pipeline: SpeechPipeline
    inbox: Inbox
    outbox: Outbox
    connection_status: ConnectionStatus
    counters: SessionCounters = field(default_factory=SessionCounters)
    state: SessionState = field(default_factory=SessionState)

    @property
    def queue_depth(self) -> int:
        """Windows of received audio and ended utterances that wait."""
        return self.inbox.queued_windows + self.state.waiting_finals
