"""What a client chooses for its session with `start`: language, prompt, and whether it wants partials.

A choice holds for the utterances that begin after it. What an engine cannot do is an `error`, and has no effect. An
engine may be loaded after the choice, or be replaced by another one, so each utterance is judged by the engines of its
time.
"""

from trio_stt.errors import LanguageUnavailable
from trio_stt.lanes.engines.base import EngineInfo, Hints
from trio_stt.lanes.job import JobKind
from trio_stt.languages import AUTO, language_code
from trio_stt.protocol.commands import Start
from trio_stt.protocol.event_objects import Where
from trio_stt.session.active_utterance import UtteranceHints
from trio_stt.session.context import SessionContext
from trio_stt.session.event_publisher import EventPublisher

_TEXTS = {JobKind.FINAL: "finals", JobKind.PARTIAL: "partials"}


class SessionHints:
    """The choices of one session."""

    def __init__(self, context: SessionContext, publisher: EventPublisher) -> None:
        settings = context.settings
        self._lanes = {kind: context.host.lanes.lane_for(kind) for kind in JobKind}
        self._configured = {
            JobKind.FINAL: Hints(prompt=settings.initial_prompt, vad_filter=settings.vad_filter),
            JobKind.PARTIAL: Hints(prompt=settings.initial_prompt_realtime, vad_filter=settings.vad_filter),
        }
        self._publisher = publisher
        self._chosen = Start()
        self._unchecked = Start()  # chosen before the engines were loaded
        self._newest: UtteranceHints | None = None

    def choose(self, start: Start) -> None:
        """Note what a `start` chooses, and publish what the engines cannot do."""
        self._chosen = start.after(self._chosen)
        self._unchecked = start.after(self._unchecked)
        if all(lane.engine for lane in self._lanes.values()):
            self.check()

    def check(self) -> None:
        """Publish what the engines cannot do of what was chosen before they were loaded."""
        unchecked, self._unchecked = self._unchecked, Start()
        problems: dict[str, list[str]] = {}
        for kind, lane in self._lanes.items():
            if lane.engine and (kind is JobKind.FINAL or self._interim):
                for problem in _problems(unchecked, lane.engine):
                    problems.setdefault(problem, []).append(_TEXTS[kind])
        for problem, texts in problems.items():
            self._publisher.error(Where.COMMAND, f"start {problem}; {' and '.join(texts)} stay as configured")

    def for_utterance(self) -> UtteranceHints:
        """The hints of an utterance that begins now: the same object as before while nothing has changed."""
        hints = UtteranceHints(
            final=self._hints(JobKind.FINAL), partial=self._hints(JobKind.PARTIAL), interim=self._interim
        )
        if self._newest is None or hints != self._newest:
            self._newest = hints
        return self._newest

    @property
    def _interim(self) -> bool:
        return self._chosen.interim is not False

    def _hints(self, kind: JobKind) -> Hints:
        configured, chosen, engine = self._configured[kind], self._chosen, self._lanes[kind].engine
        prompt = chosen.prompt.strip() or None if isinstance(chosen.prompt, str) else configured.prompt
        language = None
        if isinstance(chosen.language, str):
            try:
                # Before an engine is loaded, nothing is known: the engine ignores a language that it does not have.
                language = (
                    engine.languages.choose(chosen.language) if engine else language_code(chosen.language) or AUTO
                )
            except LanguageUnavailable:
                language = None
        translate = kind is JobKind.FINAL and chosen.translate is True
        return Hints(language=language, prompt=prompt, vad_filter=configured.vad_filter, translate=translate)


def _problems(start: Start, engine: EngineInfo) -> list[str]:
    """What an engine cannot do, each in one line that begins with the field."""
    problems = []
    if isinstance(start.language, str):
        try:
            engine.languages.choose(start.language)
        except LanguageUnavailable as error:
            problems.append(f"language: {error}")
    if isinstance(start.prompt, str) and start.prompt.strip() and not engine.prompt:
        problems.append(f"prompt: the engine {engine.engine} takes no prompt")
    return problems
