"""Which channels of a sound are transcribed: mixed, one of them, or each on its own. Quick to import."""

from typing import TYPE_CHECKING, Final

from trio_stt.errors import AudioFileError

if TYPE_CHECKING:
    from trio_stt.sound.reader import Sound

MIX: Final = "mix"
SEPARATE: Final = "separate"
MAX_CHANNEL: Final = 8

ChannelChoice = str | int
"""`MIX`, `SEPARATE`, or the number of a channel from 1."""


def parse_channels(text: str) -> ChannelChoice:
    """The choice as it is written.

    Raises:
        ValueError: It is none.
    """
    if text in (MIX, SEPARATE):
        return text
    if text.isascii() and text.isdecimal() and 1 <= int(text[:3]) <= MAX_CHANNEL:
        return int(text[:3])
    raise ValueError(f"must be {MIX}, {SEPARATE} or a number from 1 to {MAX_CHANNEL}, not {text[:100]!r}")


def chosen_channels(sound: "Sound", channels: ChannelChoice) -> tuple[int | None, ...]:
    """The channels of a sound to transcribe, from 1; None is the mix of all.

    Raises:
        AudioFileError: It lacks the channel.
    """
    if isinstance(channels, int):
        if channels > sound.channels:
            has = "1 channel" if sound.channels == 1 else f"{sound.channels} channels"
            raise AudioFileError(f"{sound.name}: has {has}; there is no channel {channels}")
        return (channels,)
    return (None,) if channels == MIX or sound.channels == 1 else tuple(range(1, sound.channels + 1))
