"""The connections of one session, one after the other: first connect, take-over, disconnect, resume; and its end.

It owns which connection is current, how long a disconnected client may still resume, and the signal that the session is
over. Sockets, and the meaning of messages, are not its business.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from trio_stt.errors import ResumeError
from trio_stt.protocol.commands import Resume
from trio_stt.protocol.events import Resumed, encode
from trio_stt.session.connection import CloseReason, Connection, ConnectionClosed
from trio_stt.session.context import SessionContext
from trio_stt.session.outbox import ClientStalled
from trio_stt.session.receiver import Receiver, ResumeTarget

logger = logging.getLogger(__name__)

NO_SUCH_SESSION = "there is no such session to resume, or no longer"
_SECRET_BYTES = 24


class SessionShutdown:
    """The end of one session: triggered once, it cancels every scope opened with `scope`."""

    def __init__(self) -> None:
        self._triggered = False
        self._close_reason = CloseReason.OVER
        self._scopes: set[trio.CancelScope] = set()

    @property
    def triggered(self) -> bool:
        """Whether the session is over."""
        return self._triggered

    @property
    def close_reason(self) -> CloseReason:
        """Why it is over; `OVER` before it is."""
        return self._close_reason

    def trigger(self, close_reason: CloseReason) -> None:
        """End the session; the first reason counts."""
        if not self._triggered:
            self._close_reason = close_reason
            self._triggered = True
            for scope in self._scopes:
                scope.cancel()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """A block that is cancelled when the session ends; at once if it already has."""
        with trio.CancelScope() as scope:
            if self._triggered:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.remove(scope)


@dataclass(slots=True)
class _Outcome:
    """How one connection ended; neither is set when the session itself ended."""

    resume_target: ResumeTarget | None = None
    closed: bool = False


class SessionConnections:
    """All connections of one session.

    Attributes:
        token: Secret with which a client resumes the session.
    """

    def __init__(self, context: SessionContext, receiver: Receiver, shutdown: SessionShutdown) -> None:
        # The id finds the session without a table of tokens; only the part behind it is secret.
        self.token = f"{context.session_id}.{secrets.token_urlsafe(_SECRET_BYTES)}"
        self._context = context
        self._connection_status = context.connection_status
        self._outbox = context.outbox
        self._receiver = receiver
        self._shutdown = shutdown
        self._grace_over = not context.grace_s
        self._current: trio.CancelScope | None = None
        self._receiving = trio.Lock()  # one connection receives and delivers at a time

    def extend_grace(self, resume: Resume) -> None:
        """Restart the grace period of a client that is reconnecting.

        Raises:
            ResumeError: The token is not this session's, the grace period is over, or the number was never sent.
        """
        same = secrets.compare_digest(resume.token.encode(errors="replace"), self.token.encode())
        if not same or self._grace_over or self._shutdown.triggered:
            raise ResumeError(NO_SUCH_SESSION)
        if resume.seq > self._outbox.log.seq:
            raise ResumeError(f"event {resume.seq} was never sent: the last one is {self._outbox.log.seq}")
        if self._connection_status.disconnected_since_s is not None:
            self._connection_status.change(connected=False)

    async def wait_grace_over(self) -> None:
        """Wait until the client has been disconnected for the whole grace period; it cannot resume from then on."""
        await self._connection_status.wait_disconnected_for(self._context.grace_s)
        self._grace_over = True

    async def serve_connection(self, connection: Connection, resume: Resume | None = None) -> CloseReason | None:
        """Serve the client over this connection, which replaces an earlier one.

        Args:
            connection: To the client.
            resume: Its `resume` command, if it had another connection before.

        Returns:
            Why the server closes the connection; None when the client did.
        """
        scope = trio.CancelScope()
        previous, self._current = self._current, scope
        if previous is not None:
            previous.cancel()  # `_receiving` makes the new one wait until the previous one has let go of the outbox
        resume_target: ResumeTarget | None = None
        client_left = True
        try:
            with scope:
                resume_target = await self._serve(connection, resume)
                client_left = False
        except* ConnectionClosed:
            logger.debug("the client closed the connection")
        except* ClientStalled as stalled:
            logger.warning("connection aborted: %s", stalled.exceptions[0])
        except* Exception:
            logger.exception("the session failed")
            self._shutdown.trigger(CloseReason.FAILED)
            raise
        finally:
            # Also when the host cancels this task: that is how a lost connection ends.
            replaced = self._current is not scope
            if not replaced:
                self._current = None
                self._disconnect(connection, for_good=resume_target is not None)
        if replaced:
            return CloseReason.RESUMED
        if resume_target is not None:
            return await resume_target.session.serve_connection(connection, resume_target.resume)
        return None if client_left else self._shutdown.close_reason

    async def _serve(self, connection: Connection, resume: Resume | None) -> ResumeTarget | None:
        """Serve one connection until the session is over, or its client asks to resume another session.

        Receiving has its own task, too: in this one, every message would pass through the stack of the host's frames.
        """
        outcome = _Outcome()
        with self._shutdown.scope():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive_and_deliver, connection, resume, nursery, outcome)
        if outcome.closed:  # raised after the nursery: raising inside it leaves a reference cycle in trio 0.35
            raise ConnectionClosed("the client closed the connection")
        return outcome.resume_target

    async def _receive_and_deliver(
        self, connection: Connection, resume: Resume | None, nursery: trio.Nursery, outcome: _Outcome
    ) -> None:
        async with self._receiving:
            self._connection_status.change(connected=True)
            delivery = self._outbox.attach(connection, self._replay(resume))
            try:
                nursery.start_soon(delivery.run)
                nursery.start_soon(delivery.watch)
                outcome.resume_target = await self._receiver.run(connection)
                # The events of this session come before those of the one that is resumed.
                await self._outbox.wait_idle()
            except ConnectionClosed:
                outcome.closed = True
                await self._context.host.registry.wait_departure_turn()
            finally:
                self._outbox.detach(delivery)
        nursery.cancel_scope.cancel()  # the tasks of `delivery`, which run until cancelled

    def _disconnect(self, connection: Connection, *, for_good: bool) -> None:
        if for_good or self._grace_over or connection.closed_cleanly:
            self._shutdown.trigger(CloseReason.OVER)
        else:
            self._connection_status.change(connected=False)

    def _replay(self, resume: Resume | None) -> list[str]:
        """Messages that a resuming client gets before new events: `resumed`, then what it missed."""
        if resume is None:
            return []
        messages, missed = self._outbox.log.since(resume.seq)
        resumed = Resumed(
            session_id=self._context.session_id,
            seq=resume.seq,
            received_packets=self._receiver.packets,
            received_commands=self._receiver.commands,
            streaming=self._receiver.accepting,
            missed_events=missed,
        )
        return [encode(resumed), *messages]
