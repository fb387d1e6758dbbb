"""The error tree of trio-stt; nothing else.

    TrioSttError
     ├── SettingError          a setting that is unknown, of the wrong type, out of range or impossible
     ├── EngineError
     │    ├── EngineUnavailable   its package, model or file is missing; the message says how to get it
     │    │    └── ModelMissing     there is no such model on this machine, nothing else
     │    └── TranscriptionFailed the engine raised or returned rubbish for one job
     ├── LaneError
     │    ├── JobRefused          a lane did not take a job: a limit was reached, or it is closed
     │    └── JobDropped          a lane took a job and gave it up: replaced, stale or cancelled
     ├── WireError             what a client sent cannot be used; becomes an `error` event
     │    ├── CommandError        where `command`
     │    ├── PacketError         where `audio_packet`
     │    └── ResumeError         where `resume`
     ├── ServerFull            no place for another session
     ├── ServerClosing         the server shuts down and takes no new session
     ├── HostError             the installed web server is not one that trio-stt can serve with
     ├── AudioFileError        a file that is not audio, or that cannot be read
     └── ModelError            a model cannot be found in the catalogue, fetched, kept or removed

Every message is one line that a user can act on.
"""

from typing import ClassVar


class TrioSttError(Exception):
    """Base of every error that trio-stt raises on purpose."""


class SettingError(TrioSttError):
    """A setting is unknown, of the wrong type, out of range or impossible with another."""


class EngineError(TrioSttError):
    """A recogniser cannot do what was asked."""


class EngineUnavailable(EngineError):  # noqa: N818 - it names a state, as OSError's children do
    """The engine's package, model or file is missing or unfit; the message says what to do about it."""


class ModelMissing(EngineUnavailable):
    """There is no such model on this machine; nothing else is known to be wrong. `model` is its name."""

    def __init__(self, message: str, *, model: str) -> None:
        super().__init__(message)
        self.model = model


class TranscriptionFailed(EngineError):  # noqa: N818 - as above
    """The engine raised, or returned something that is not a transcript, for one job."""


class LaneError(TrioSttError):
    """A lane did not carry a job to its end."""


class JobRefused(LaneError):  # noqa: N818 - as above
    """The lane did not take the job; the message names the limit."""


class JobDropped(LaneError):  # noqa: N818 - as above
    """The lane took the job and gave it up; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"job dropped: {reason}")
        self.reason = reason


class WireError(TrioSttError):
    """What a client sent cannot be used. `where` is the tag of the `error` event: docs/protocol.md, error."""

    where: ClassVar[str]


class CommandError(WireError):
    """A text frame is not a command."""

    where = "command"


class PacketError(WireError):
    """A binary frame is not an audio packet."""

    where = "audio_packet"


class ResumeError(WireError):
    """A client asks for a session that it cannot have back."""

    where = "resume"


class ServerFull(TrioSttError):  # noqa: N818 - as above
    """No place for another session."""


class ServerClosing(TrioSttError):  # noqa: N818 - as above
    """The server shuts down and takes no new session."""


class HostError(TrioSttError):
    """The installed Hypercorn or Quart does not use what trio-stt replaces in it."""


class AudioFileError(TrioSttError):
    """A file is not audio, or cannot be read."""


class ModelError(TrioSttError):
    """A model cannot be found in the catalogue, fetched, kept or removed."""
