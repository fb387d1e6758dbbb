"""The errors of trio-stt.

    TrioSttError
     ├── SettingError          a setting that is unknown, of the wrong type, out of range or impossible
     ├── EngineError
     │    ├── EngineUnavailable   a package, model or file is missing; the message says how to get it
     │    │    ├── ModelMissing     the model is not on this machine, and nothing else is wrong
     │    │    └── ClusterUnavailable  the Ray cluster does not answer, or has no room
     │    └── TranscriptionFailed the engine raised, or returned no transcript, for one job
     ├── LaneError
     │    ├── JobRefused          a lane refused a job: a limit was reached, or it is closed
     │    └── JobDropped          a lane dropped a job: replaced, stale, cancelled, or its engine lost
     ├── WireError             a message of a client is invalid; becomes an `error` event
     │    ├── CommandError        where `command`
     │    ├── PacketError         where `audio_packet`
     │    └── ResumeError         where `resume`
     ├── ServerFull            max_sessions is reached
     ├── ServerClosing         the server is shutting down and refuses new sessions
     ├── HostError             the installed Hypercorn or Quart does not use a name that trio-stt replaces
     ├── AudioFileError        a file is not audio, or cannot be read
     ├── LanguageUnavailable   one session cannot have the language that its client chose
     └── ModelError            a model cannot be found in the catalogue, downloaded, stored or removed
          └── DownloadInterrupted  the network or the other server failed; another attempt may succeed

Every message is one line that tells a user what to do.
"""

from typing import ClassVar

HIDDEN_CAUSE = "an internal failure; the log of the server, and /health for administrators, tell its cause"
"""What other clients read in place of the cause, which may hold addresses, paths and parts of keys."""


class TrioSttError(Exception):
    """Base of every error that trio-stt raises on purpose."""


class SettingError(TrioSttError):
    """A setting is unknown, of the wrong type, out of range or impossible with another."""


class EngineError(TrioSttError):
    """An engine cannot load or transcribe."""


class EngineUnavailable(EngineError):  # noqa: N818 - names a state, as subclasses of OSError do
    """The engine's package, model or file is missing or unusable; the message says what to do about it."""

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may succeed although no setting, package or file has changed.

        It may after a failed download, or after an error of a library, for example for lack of memory; it may not if
        something is missing.
        """
        return not isinstance(self.__cause__, (SettingError, ImportError, type(None)))


class ModelMissing(EngineUnavailable):
    """The model is not on this machine; nothing else is known to be wrong. `model` is its name."""

    def __init__(self, message: str, *, model: str) -> None:
        super().__init__(message)
        self.model = model


class ClusterUnavailable(EngineUnavailable):
    """The Ray cluster does not answer, or has no room for an engine; an engine in the server itself may do."""


class TranscriptionFailed(EngineError):  # noqa: N818 - as above
    """The engine raised, or returned no valid transcript, for one job."""


class LaneError(TrioSttError):
    """A lane did not complete a job."""


class JobRefused(LaneError):  # noqa: N818 - as above
    """The lane refused the job; the message names the limit."""


class JobDropped(LaneError):  # noqa: N818 - as above
    """The lane dropped the job after it had accepted it; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"job dropped: {reason}")
        self.reason = reason


class WireError(TrioSttError):
    """A message of a client is invalid. `where` is the tag of the `error` event: docs/protocol.md, error."""

    where: ClassVar[str]


class CommandError(WireError):
    """A text frame is not a command."""

    where = "command"


class PacketError(WireError):
    """A binary frame is not an audio packet."""

    where = "audio_packet"


class ResumeError(WireError):
    """A client cannot resume the session that its `resume` names."""

    where = "resume"


class ServerFull(TrioSttError):  # noqa: N818 - as above
    """`max_sessions` is reached."""


class ServerClosing(TrioSttError):  # noqa: N818 - as above
    """The server is shutting down and refuses new sessions."""


class HostError(TrioSttError):
    """The installed Hypercorn or Quart does not use a name that trio-stt replaces."""


class AudioFileError(TrioSttError):
    """A file is not audio, or cannot be read."""


class LanguageUnavailable(TrioSttError):  # noqa: N818 - as above
    """One session cannot have the language that its client chose; the message says what the model has."""


class ModelError(TrioSttError):
    """A model cannot be found in the catalogue, downloaded, stored or removed."""


class DownloadInterrupted(ModelError):  # noqa: N818 - as above
    """The network or the other server failed, so another attempt may succeed."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message that is not blank, else the name of its class.

    For errors of libraries, whose messages may have several lines or none.
    """
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
