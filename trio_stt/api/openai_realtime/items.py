"""The items of an OpenAI Realtime session: which words belong to which. `delivery` sends them."""

from dataclasses import dataclass, field

from trio_stt.protocol.events import Final
from trio_stt.protocol.scripts import joined, space_between
from trio_stt.speech.text import normalized_text


@dataclass(slots=True, eq=False)
class Item:
    """One turn of the user.

    Attributes:
        id: On the wire.
        previous_id: The item that was committed before; None for the first, and until this one is committed.
        begin_s: Its start in the audio of the session, in seconds.
        end_s: Its end there.
        finals: Its utterances that have words, in order.
        failure: Why some of it could not be transcribed; empty if all could.
        live: The text of all its deltas, sent or not.
        sent: Number of characters of `live` that were sent.
        committed: Whether it was committed.
        over: Whether nothing more will come, so that it can be completed.
        completed: Whether the client has its `completed` or `failed`.
    """

    id: str
    begin_s: float
    end_s: float = 0.0
    previous_id: str | None = None
    finals: list[Final] = field(default_factory=list)
    failure: str = ""
    live: str = ""
    sent: int = 0
    committed: bool = False
    over: bool = False
    completed: bool = False

    @property
    def transcript(self) -> str:
        """The texts of its utterances, joined as all protocols join them."""
        return joined(final.text for final in self.finals)

    @property
    def seconds(self) -> float:
        """Length of its audio."""
        return max(0.0, round(self.end_s - self.begin_s, 3))


@dataclass(slots=True, eq=False)
class LiveText:
    """The live text of one utterance, as far as it is in an item.

    Attributes:
        stable: The stable text so far.
    """

    stable: str = ""

    def grow(self, item: Item, delta: str) -> None:
        """Add stable text to an item; before an utterance that is not its first, what the script has between words."""
        if delta:
            item.live += delta if self.stable else space_between(item.live, delta) + delta
            self.stable += delta

    def finish(self, item: Item, final: Final) -> None:
        """Add what the final has beyond the stable text; nothing if it has other words instead."""
        if final.stable_text_agreed:
            self.grow(item, _rest(self.stable, final.text))


def _rest(stable: str, text: str) -> str:
    """What follows the stable text in a text that begins with its words; case and punctuation may differ."""
    if text.startswith(stable):
        return text[len(stable) :]
    words, whole = normalized_text(stable).normal, normalized_text(text)
    return whole.raw[whole.raw_end(len(words)) :] if whole.normal.startswith(words) else ""
