"""Which languages a loaded engine transcribes, and what one session may choose of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from trio_stt.errors import LanguageUnavailable
from trio_stt.languages import AUTO, language_code

_SHOWN_CHARACTERS = 40
"""Of a client's text in an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSupport:
    """The languages of a loaded engine.

    Attributes:
        known: Codes of the languages that it transcribes, where that is known; else empty.
        loaded: Code of the language that it transcribes unless a request chooses another one; None if it detects it.
        assumed: The language of the setting, for an engine that takes none and whose languages are not known.
        per_request: Whether each request may choose one: of `known`, or any where `known` is empty.
        detects: Whether a request may leave the language to the model.
    """

    known: tuple[str, ...] = ()
    loaded: str | None = None
    assumed: str | None = None
    per_request: bool = False
    detects: bool = False

    def of_request(self, chosen: str | None) -> str | None:
        """Code of the language to transcribe with `Hints.language`; None to detect it.

        A client may choose before the engine is loaded, so what the engine does not have is ignored here.
        """
        if chosen == AUTO and self.per_request and self.detects:
            return None
        has = chosen is not None and chosen != AUTO and (not self.known or chosen in self.known)
        return chosen if has and self.per_request else self.loaded

    def choose(self, wanted: str) -> str | None:
        """The value of `Hints.language` for a language in any spelling.

        A model that detects the language accepts each language that it has, and goes on to detect it.

        Raises:
            LanguageUnavailable: One session cannot have this language; the message says which it can have.
        """
        code = language_code(wanted)
        if not code:
            return self._choose_detection()
        if code == self.in_force:
            return None
        if self.per_request and (not self.known or code in self.known):
            return code
        if code in self.known and self.loaded is None:  # the model detects it
            return None
        shown = repr(wanted[:_SHOWN_CHARACTERS])
        if code in self.known:
            problem = (
                f"the model was loaded for {self._in_force_words}; {shown} can be chosen by the setting language only"
            )
        elif self.known:
            problem = f"the model does not have {shown}; it has {', '.join(self.known)}"
        else:
            problem = f"the model transcribes {self._in_force_words}; {shown} cannot be chosen"
        raise LanguageUnavailable(problem)

    def _choose_detection(self) -> str | None:
        """The value of `Hints.language` for a session that wants its language detected."""
        if self.in_force is None:
            return None
        if self.per_request and self.detects:
            return AUTO
        if len(self.known) <= 1:  # with one language there is nothing to detect; of an unknown engine, none is expected
            return None
        raise LanguageUnavailable(f"the model does not detect the language; it transcribes {self._in_force_words}")

    def choose_first(self, wanted: Sequence[str]) -> str | None:
        """The same for languages in order of preference: the first that the session can have; None for none.

        Raises:
            LanguageUnavailable: It can have none of them; the message is about the first.
        """
        problem: LanguageUnavailable | None = None
        for name in wanted:
            try:
                return self.choose(name)
            except LanguageUnavailable as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return None

    @property
    def is_unknown(self) -> bool:
        """Whether neither the model nor a setting says what it transcribes: what a client names may be right."""
        return not self.known and not self.per_request and self.in_force is None

    @property
    def in_force(self) -> str | None:
        """Code of the language of all requests that choose none; None if the model detects it."""
        return self.loaded or self.assumed

    @property
    def _in_force_words(self) -> str:
        return f"{self.in_force} (setting language)" if self.in_force else "what it detects"


UNKNOWN_LANGUAGES = LanguageSupport()
"""Support of an engine that takes no language and whose languages are unknown."""
