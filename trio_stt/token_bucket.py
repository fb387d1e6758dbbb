"""How much of something may come in a time. It counts; it must not wait, nor know what is counted.

Source: the token bucket of RFC 2697, with a burst of all that a window allows.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """What may come: `rate` a second, in the long run, and `rate` x `window_s` at once.

    Attributes:
        rate: Above zero.
        window_s: Over which the rate holds.
    """

    rate: float
    window_s: float
    _spent: float = field(default=0.0, init=False)
    _at_s: float = field(default=float("-inf"), init=False)

    def acquire(self, amount: float, now_s: float) -> float:
        """Take an amount, also one that is not there; returns the seconds until it would have been."""
        self._spent = max(0.0, self._spent - (now_s - self._at_s) * self.rate) + amount
        self._at_s = now_s
        return max(0.0, self._spent / self.rate - self.window_s)

    def refund(self, amount: float) -> None:
        """Give back what was taken and not used."""
        self._spent = max(0.0, self._spent - amount)
