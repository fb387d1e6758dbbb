"""The connections of one session, one after the other: greeting, taking over, being cut off, and coming back.

It owns who is connected, and for how long a client that was cut off is waited for. It must not know sockets, nor what
is said over them.
"""

import logging
import secrets
from dataclasses import dataclass

import trio

from trio_stt.errors import ResumeError
from trio_stt.protocol.commands import Resume
from trio_stt.protocol.events import Resumed, encode
from trio_stt.server.server_state import NO_SUCH_SESSION
from trio_stt.server.stagger import Stagger
from trio_stt.session.connection import Connection, ConnectionClosed
from trio_stt.session.connection_status import ConnectionStatus
from trio_stt.session.outbox import ClientStalled, Outbox
from trio_stt.session.receiver import Receiver, ResumeTarget
from trio_stt.session.shutdown import CloseReason, SessionShutdown

logger = logging.getLogger(__name__)

_SECRET_BYTES = 24


@dataclass(slots=True)
class _End:
    """How one connection ended; neither where it was the session that did."""

    resume_target: ResumeTarget | None = None
    left: bool = False


class SessionConnections:
    """All connections of one session.

    Args:
        session_id: Of the session.
        grace_s: For how long it is kept for a client that was cut off; 0 keeps none.
        presence: Of its client.
        outbox: Of the session.
        receiver: Of the session.
        ending: Of the session.
        way_out: What clients that left pass.
    """

    def __init__(
        self,
        *,
        session_id: str,
        grace_s: float,
        connection_status: ConnectionStatus,
        outbox: Outbox,
        receiver: Receiver,
        shutdown: SessionShutdown,
        departures: Stagger,
    ) -> None:
        self._id = session_id
        self._grace_s = grace_s
        self._connection_status = connection_status
        self._outbox = outbox
        self._receiver = receiver
        self._shutdown = shutdown
        self._way_out = departures
        # The id in it finds the session at once; only the secret behind it has to be kept.
        self.token = f"{session_id}.{secrets.token_urlsafe(_SECRET_BYTES)}"
        self._given_up = not grace_s
        self._current: trio.CancelScope | None = None
        self._turn = trio.Lock()  # one connection is received from at a time

    def extend_grace(self, resume: Resume) -> None:
        """Wait for its client for the whole grace once more: it is coming back.

        Raises:
            ResumeError: The token is not this session's, its time is over, or that number was never sent.
        """
        same = secrets.compare_digest(resume.token.encode(errors="replace"), self.token.encode())
        if not same or self._given_up or self._shutdown.is_over:
            raise ResumeError(NO_SUCH_SESSION)
        if resume.seq > self._outbox.seq:
            raise ResumeError(f"event {resume.seq} was never sent: the last one is {self._outbox.seq}")
        if self._connection_status.disconnected_since_s is not None:
            self._connection_status.change(connected=False)

    async def wait_given_up(self) -> None:
        """Wait until the client has been away for too long; it cannot come back from then on."""
        await self._connection_status.wait_disconnected_for(self._grace_s)
        self._given_up = True

    async def serve_connection(self, connection: Connection, resume: Resume | None = None) -> CloseReason | None:
        """Serve the client over this connection, taking the place of an earlier one.

        Args:
            connection: To the client.
            resume: What it asked for, if this is not its first.

        Returns:
            Why the server left the connection; None when the client did.
        """
        connection_scope = trio.CancelScope()
        previous, self._current = self._current, connection_scope
        if previous is not None:
            previous.cancel()
        resume_target: ResumeTarget | None = None
        gone = True
        try:
            with connection_scope:
                resume_target = await self._serve(connection, resume)
                gone = False
        except* ConnectionClosed:
            logger.debug("the client left")
        except* ClientStalled as stalled:
            logger.warning("the connection is given up: %s", stalled.exceptions[0])
        except* Exception:
            logger.exception("the session failed")
            self._shutdown.trigger(CloseReason.FAILED)
            raise
        finally:
            replaced = self._current is not connection_scope
            if not replaced:
                self._current = None
                self._leave(connection, for_good=resume_target is not None)
        if replaced:
            return CloseReason.RESUMED
        if resume_target is not None:
            return await resume_target.session.serve_connection(connection, resume_target.resume)
        return None if gone else self._shutdown.close_reason

    async def _serve(self, connection: Connection, resume: Resume | None) -> ResumeTarget | None:
        """Serve one connection until the session is over, or the client asks for another one.

        Receiving has a task of its own, too: here it would stand behind all frames of the host, and each packet would
        pass through them.
        """
        end = _End()
        with self._shutdown.scope():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive_and_deliver, connection, resume, nursery, end)
        if end.left:  # said behind the nursery: trio 0.35 leaves a cycle where one ends by an error of its own block
            raise ConnectionClosed("the client left")
        return end.resume_target

    async def _receive_and_deliver(
        self, connection: Connection, resume: Resume | None, nursery: trio.Nursery, end: _End
    ) -> None:
        async with self._turn:
            self._connection_status.change(connected=True)
            delivery = self._outbox.attach(connection, self._first_words(resume))
            try:
                nursery.start_soon(delivery.run)
                nursery.start_soon(delivery.watch)
                end.resume_target = await self._receiver.run(connection)
                await self._outbox.wait_idle()  # the other session's words come behind these
            except ConnectionClosed:
                end.left = True
                await self._way_out.wait_turn()
            finally:
                self._outbox.detach(delivery)
        nursery.cancel_scope.cancel()

    def _leave(self, connection: Connection, *, for_good: bool) -> None:
        if for_good or self._given_up or connection.closed_cleanly:
            self._shutdown.trigger(CloseReason.OVER)
        else:
            self._connection_status.change(connected=False)

    def _first_words(self, resume: Resume | None) -> list[str]:
        """What a client that comes back hears before all that is new."""
        if resume is None:
            return []
        messages, missed = self._outbox.since(resume.seq)
        resumed = Resumed(
            session_id=self._id,
            seq=resume.seq,
            received_packets=self._receiver.packets,
            received_commands=self._receiver.commands,
            streaming=self._receiver.accepting,
            missed_events=missed,
        )
        return [encode(resumed), *messages]
