"""What the house needs of a session. It must not know how one works."""

from typing import Protocol

from trio_stt.protocol.commands import Resume
from trio_stt.protocol.reports import SessionReport
from trio_stt.session.connection import Connection
from trio_stt.session.shutdown import CloseReason


class SessionHandle(Protocol):
    """A session."""

    @property
    def session_id(self) -> str:
        """32 hexadecimal digits."""

    @property
    def never_active(self) -> bool:
        """Whether its client never sent anything."""

    async def run(self) -> None:
        """Live until the end."""

    async def serve_connection(self, connection: Connection, resume: Resume | None = None) -> CloseReason | None:
        """Serve the client over this connection."""

    def extend_grace(self, resume: Resume) -> None:
        """Its client is coming back.

        Raises:
            ResumeError: It is not its client, or too late.
        """

    def report(self) -> SessionReport:
        """The session as metrics show it."""

    async def drain(self) -> None:
        """End the utterance, deliver all that the client is owed, and end."""

    def terminate(self) -> None:
        """End at once."""
