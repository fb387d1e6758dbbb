"""Every setting of trio-stt, declared once: name, type, range, default, flags, runtime class and help.

The command line, the environment, `/api/config` and the table in `docs/settings.md` all derive from these classes
(`configuration` reads them). They must not know what a setting does to the server. See docs/protocol.md, Settings.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import field_validator, model_validator

from trio_stt.settings.access import AccessSettings
from trio_stt.settings.engines import EngineSettings
from trio_stt.settings.option import ENV_PREFIX, MAX_SECONDS, Option, RuntimeClass
from trio_stt.settings.profiles import PROFILES, profile_spelled
from trio_stt.settings.server import ServerSettings
from trio_stt.settings.speech import SpeechSettings
from trio_stt.settings.wake import WakeWordSettings

__all__ = ["ENV_PREFIX", "MAX_SECONDS", "PROFILES", "Conflict", "Option", "RuntimeClass", "Settings"]


MIN_CUT_SECONDS = 1.0
"""Shortest utterance that may be cut: below there is no second in which to look for the quietest place."""


class Conflict(ValueError):  # noqa: N818 - it names a state, as those of `errors` do
    """Settings that are each allowed, but impossible together; the message names them and their values.

    Attributes:
        names: The settings in question.
    """

    def __init__(self, names: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.names = names


# Pydantic lists the fields of the last base first.
class Settings(WakeWordSettings, SpeechSettings, EngineSettings, AccessSettings, ServerSettings):
    """The whole configuration of one server. Frozen; `configuration.load` builds it."""

    @model_validator(mode="before")
    @classmethod
    def _profile(cls, given: Any) -> Any:
        profile = PROFILES.get(str(profile_spelled(given.get("tuning_profile", "custom"))), PROFILES["custom"])
        return {**profile.values, **given, "tuning_description": profile.description}

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        """Refuse what could never be sent to a client: bytes of the environment that are not UTF-8."""
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("must be text in UTF-8") from None
        return value

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        for conflict in self.conflicts():
            raise conflict
        return self

    def conflicts(self) -> Iterator[Conflict]:
        """What is impossible together; nothing, in settings that were validated."""
        longest_s, shortest_s = self.max_audio_queue_seconds_per_session, self.min_length_of_recording
        if 0 < longest_s < max(MIN_CUT_SECONDS, shortest_s):
            yield Conflict(
                ("max_audio_queue_seconds_per_session", "min_length_of_recording"),
                f"max_audio_queue_seconds_per_session ({longest_s:g}) must be 0 or at least {MIN_CUT_SECONDS:g}"
                f" and min_length_of_recording ({shortest_s:g})",
            )
        window_s, first_s = self.realtime_max_audio_seconds, self.realtime_min_audio_seconds
        if 0 < window_s < first_s:
            yield Conflict(
                ("realtime_max_audio_seconds", "realtime_min_audio_seconds"),
                f"realtime_max_audio_seconds ({window_s:g}) must be 0 or at least"
                f" realtime_min_audio_seconds ({first_s:g})",
            )

    @property
    def language_code(self) -> str | None:
        """The language, or None where the model decides."""
        return self.language.strip() or None

    @property
    def download_folder(self) -> Path | None:
        """`download_root` as an expanded path."""
        return Path(self.download_root).expanduser() if self.download_root else None
