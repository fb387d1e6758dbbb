"""A token bucket: limits the rate of anything that is counted. It does not wait, and does not know what it counts.

Source: RFC 2697; a burst may be as large as what the rate allows in a window.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """Allows `rate` tokens a second in the long run, and `rate` x `window_s` at once.

    Attributes:
        rate: Tokens a second; above zero.
        window_s: The period over which the rate holds.
    """

    rate: float
    window_s: float
    _spent: float = field(default=0.0, init=False)
    _updated_s: float = field(default=float("-inf"), init=False)

    def acquire(self, amount: float, now_s: float) -> float:
        """Take `amount` tokens, going into debt if necessary; returns the seconds until the debt is repaid."""
        self._spent = max(0.0, self._spent - (now_s - self._updated_s) * self.rate) + amount
        self._updated_s = now_s
        return max(0.0, self._spent / self.rate - self.window_s)

    def refund(self, amount: float) -> None:
        """Return tokens that were not used."""
        self._spent = max(0.0, self._spent - amount)
