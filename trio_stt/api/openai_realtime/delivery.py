"""What an OpenAI Realtime client reads of its items, and when.

It owns the promises that clients rely on:

- the deltas of an item are never taken back;
- every committed item gets one `completed` or one `failed`;
- one item at a time: nothing of the words of an item is sent before the item before it is completed. Most clients keep
  one live text for all items.
"""

from collections import OrderedDict, deque
from collections.abc import Callable

from trio_stt.api.dialect import Frame
from trio_stt.api.openai_realtime.items import Item
from trio_stt.api.openai_realtime.server_events import ServerEvents

_REMEMBERED_ITEMS = 256
"""Completed items that `conversation.item.retrieve` finds."""


class Delivery:
    """The items of one session, in order.

    Args:
        events: Makes the events for the client.
        new_id: Returns the id of the next item.
        beta: Whether the client reads the events of the Beta.
        with_logprobs: Whether `completed` has log probabilities.

    Attributes:
        beta: As above.
        with_logprobs: As above.
    """

    def __init__(self, events: ServerEvents, new_id: Callable[[], str], *, beta: bool, with_logprobs: bool) -> None:
        self.beta = beta
        self.with_logprobs = with_logprobs
        self._events = events
        self._new_id = new_id
        self._queue: deque[Item] = deque()  # not completed
        self._completed: OrderedDict[str, Item] = OrderedDict()
        self._last_committed_id: str | None = None

    def open(self, begin_s: float) -> Item:
        """A new item behind the others."""
        item = Item(self._new_id(), begin_s)
        self._queue.append(item)
        return item

    def commit(self, item: Item, end_s: float) -> list[Frame]:
        """Commit an item; nothing of it can be dropped from then on."""
        item.committed, item.end_s = True, end_s
        item.previous_id, self._last_committed_id = self._last_committed_id, item.id
        return [*self._events.committed(item, beta=self.beta)]

    def drop(self, item: Item) -> None:
        """Forget an item that was not committed."""
        self._queue.remove(item)

    def find(self, item_id: object) -> Item | None:
        """A committed item, as long as it is remembered."""
        if not isinstance(item_id, str):
            return None
        waiting = (item for item in self._queue if item.committed and item.id == item_id)
        return self._completed.get(item_id) or next(waiting, None)

    def delete(self, item: Item) -> None:
        """Forget a completed item."""
        del self._completed[item.id]

    def due(self) -> list[Frame]:
        """What may be sent now: the text of the first item, and the ends of those that are over."""
        frames: list[Frame] = []
        while self._queue:
            first = self._queue[0]
            if len(first.live) > first.sent:
                frames.append(self._events.delta(first, first.live[first.sent :]))
                first.sent = len(first.live)
            if not first.over:
                break
            frames.append(self._complete(self._queue.popleft()))
        return frames

    def _complete(self, item: Item) -> Frame:
        item.completed = True
        self._completed[item.id] = item
        if len(self._completed) > _REMEMBERED_ITEMS:
            self._completed.popitem(last=False)
        return self._events.completed(item, with_logprobs=self.with_logprobs)
