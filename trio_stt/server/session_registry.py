"""All sessions of the server: places under `max_sessions`, resume look-up, eviction of disconnected sessions, drain."""

import uuid
from collections.abc import Callable, Collection, Mapping
from itertools import islice

import trio

from trio_stt.errors import ResumeError, ServerClosing, ServerFull
from trio_stt.processes.counts import SINGLE_PROCESS, Count, ProcessCounts
from trio_stt.processes.peers import NO_PEERS, Peers
from trio_stt.protocol.commands import Resume
from trio_stt.server.peer_sessions import PeerSessions
from trio_stt.server.stagger import Stagger
from trio_stt.session.connection import CloseReason
from trio_stt.session.connections import NO_SUCH_SESSION
from trio_stt.session.host import ResumableSession, SessionHandle

MAX_NEVER_ACTIVE = 16
"""Disconnected sessions that are kept although their client never sent a message. The message may have been lost with
the connection; but a client that connects and leaves 50 times a second would otherwise keep 500 sessions waiting."""
_LAST_SENDS_S = 1.0
"""Seconds for the last messages of terminated sessions; a client that does not read is left to the transport."""


class SessionRegistry:
    """Admits, finds and evicts sessions.

    A disconnected session does not count against the limit, so that clients find a place while others may still
    resume; it is evicted once a new client has turned out not to be a resuming one.

    The limit holds for all processes of the server together; each finds and evicts its own sessions only.

    Args:
        max_sessions: Returns the setting in force.
        counts: What the other processes of the server have.
        peers: The other processes.

    Attributes:
        peer_sessions: Sessions of others whose client is connected here.
    """

    def __init__(
        self, max_sessions: Callable[[], int], counts: ProcessCounts = SINGLE_PROCESS, peers: Peers = NO_PEERS
    ) -> None:
        self._max_sessions = max_sessions
        self._counts = counts
        self.peer_sessions = PeerSessions(peers, self)
        self._sessions: dict[str, SessionHandle] = {}
        self._reserved: set[str] = set()
        self._disconnected: dict[str, SessionHandle] = {}  # longest disconnected first
        self._closing = False
        self._removed = trio.Event()
        self._departures = Stagger()

    @property
    def sessions(self) -> Mapping[str, SessionHandle]:
        """Admitted sessions by id, connected or not."""
        return self._sessions

    @property
    def active_sessions(self) -> int:
        """Admitted sessions of all processes, connected or waiting for their client to resume."""
        return len(self._sessions) + self._counts.others(Count.SESSIONS)

    @property
    def reserved(self) -> int:
        """Places reserved for sessions that are not admitted yet."""
        return len(self._reserved)

    @property
    def is_closing(self) -> bool:
        """Whether the server is shutting down."""
        return self._closing

    @property
    def is_full(self) -> bool:
        """Whether connected sessions and reservations fill `max_sessions`."""
        return self._connected + self._counts.others(Count.CONNECTED_SESSIONS) >= self._max_sessions()

    @property
    def _connected(self) -> int:
        return len(self._sessions) - len(self._disconnected) + len(self._reserved)

    def reserve(self) -> str:
        """Reserve a place for a new session; returns its id. Follow with `admit` or `remove`.

        Raises:
            ServerFull: Connected sessions and reservations fill `max_sessions`.
            ServerClosing: The server is shutting down.
        """
        if self._closing:
            raise ServerClosing("the server shuts down; try again in a minute")
        with self._counts.exclusive() as exclusive:
            if self.is_full or not exclusive:
                raise ServerFull(f"the server is full: max_sessions is {self._max_sessions()}")
            prefix = self._counts.session_prefix
            session_id = prefix + uuid.uuid4().hex[len(prefix) :]
            self._reserved.add(session_id)
            self._publish()
        return session_id

    def admit(self, session: SessionHandle) -> None:
        """Turn the reservation of a session's id into its place."""
        self._reserved.remove(session.session_id)
        self._sessions[session.session_id] = session
        self._publish()

    def remove(self, session_id: str) -> None:
        """Give up a place, admitted or only reserved."""
        self._reserved.discard(session_id)
        self._sessions.pop(session_id, None)
        self._disconnected.pop(session_id, None)
        self._publish()
        self._removed.set()

    async def find(self, resume: Resume, *, other_than: str) -> ResumableSession:
        """The session that a `resume` names, in whichever process; its grace period starts again.

        Raises:
            ResumeError: No session has this token, or it is the asking session's own.
        """
        session_id = resume.token.partition(".")[0]
        if session_id == other_than:
            raise ResumeError(NO_SUCH_SESSION)
        prefix = self._counts.session_prefix
        if session_id.startswith(prefix):
            return self.find_own(resume)
        return await self.peer_sessions.find(resume)

    def find_own(self, resume: Resume) -> SessionHandle:
        """The session of this process that a `resume` names; its grace period starts again.

        Raises:
            ResumeError: No session of this process has this token.
        """
        session = self._sessions.get(resume.token.partition(".")[0])
        if session is None:
            raise ResumeError(NO_SUCH_SESSION)
        session.extend_grace(resume)
        return session

    def note_connection_status(self, session_id: str, *, connected: bool) -> None:
        """Record that the client of a session connected or disconnected; a repeated disconnect counts as the newest."""
        self._disconnected.pop(session_id, None)
        session = self._sessions.get(session_id)
        if session is not None and not connected:
            self._disconnected[session_id] = session
        self._publish()

    def disconnected_among(self, session_ids: Collection[str]) -> list[SessionHandle]:
        """The disconnected ones of these sessions, longest disconnected first."""
        return [session for session_id, session in self._disconnected.items() if session_id in session_ids]

    def evict_over_limit(self) -> None:
        """If `max_sessions` is exceeded, terminate the sessions that have been disconnected longest."""
        ours = len(self._sessions) + len(self._reserved)
        excess = ours + self._counts.others(Count.SESSIONS) - self._max_sessions()
        for session in list(islice(self._disconnected.values(), max(0, excess))):
            session.terminate(CloseReason.EVICTED)

    def evict_never_active(self) -> None:
        """Keep at most `MAX_NEVER_ACTIVE` disconnected sessions whose client never sent a message."""
        never_active = [session for session in self._disconnected.values() if session.never_active]
        for session in never_active[:-MAX_NEVER_ACTIVE]:
            session.terminate(CloseReason.EVICTED)

    def _publish(self) -> None:
        self._counts.publish(Count.CONNECTED_SESSIONS, self._connected)
        self._counts.publish(Count.SESSIONS, len(self._sessions))

    async def wait_departure_turn(self) -> None:
        """Wait until a session may end: one per scheduler pass, so that a mass disconnect delays no other client."""
        await self._departures.wait_turn()

    async def drain(self, grace_s: float) -> None:
        """Refuse new sessions, let the others deliver what is pending, and end them.

        Clients of other processes' sessions are waited for, because those processes may drain at the same time.

        Args:
            grace_s: Seconds after which the rest is terminated.
        """
        self._closing = True
        with trio.move_on_after(grace_s):
            async with trio.open_nursery() as nursery:
                for session in self._sessions.values():
                    nursery.start_soon(session.drain)
                nursery.start_soon(self.peer_sessions.wait_none)
        for session in list(self._sessions.values()):
            session.terminate(CloseReason.SHUTDOWN)
        with trio.move_on_after(_LAST_SENDS_S):
            while self._sessions:
                self._removed = trio.Event()
                await self._removed.wait()
