"""The items of an OpenAI Realtime session: which words belong to which, and when each may be sent.

It owns the promises that clients rely on:

- the deltas of an item are never taken back;
- every committed item gets one `completed` or one `failed`;
- one item at a time: nothing of the words of an item is sent before the item before it is completed. Most clients keep
  one live text for all items.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from trio_stt.protocol.events import Final
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

    @property
    def transcript(self) -> str:
        """The texts of its utterances, joined."""
        return " ".join(final.text for final in self.finals)

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
        """Add stable text to an item, with a space before the first word of an utterance that is not its first."""
        if delta:
            is_first = not self.stable
            self.stable += delta
            item.live += f" {delta}" if is_first and item.live else delta

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


class Items:
    """The items of one session that are not completed, in order.

    Args:
        new_id: Returns the id of the next item.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._queue: deque[Item] = deque()
        self._last_committed_id: str | None = None

    def open(self, begin_s: float) -> Item:
        """A new item behind the others."""
        item = Item(self._new_id(), begin_s)
        self._queue.append(item)
        return item

    def commit(self, item: Item, end_s: float) -> None:
        """Commit an item; nothing of it can be dropped from then on."""
        item.committed, item.end_s = True, end_s
        item.previous_id, self._last_committed_id = self._last_committed_id, item.id

    def drop(self, item: Item) -> None:
        """Forget an item that was not committed."""
        self._queue.remove(item)

    def deltas(self) -> Iterator[tuple[Item, str]]:
        """What is new and may be sent: of the first item only."""
        if self._queue:
            item = self._queue[0]
            if len(item.live) > item.sent:
                delta, item.sent = item.live[item.sent :], len(item.live)
                yield item, delta

    def take_over(self) -> Item | None:
        """The first item, if it is over; the next one is the first from then on."""
        if self._queue and self._queue[0].over:
            return self._queue.popleft()
        return None
