"""Golden files: complete messages of the protocol shared with RealtimeSTT's server, and the declared additions to it.

Golden files hold no additions. They were written from a description of that server, not by the code under test.
"""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"

ADDED_FIELDS = {
    "*.seq": "number of the event in its session",
    "hello.resumeToken": "secret with which a later connection continues the session",
    "hello.resumeGraceSeconds": "how long the session is kept for that",
    "status.degraded": "partials come less often because the server is behind",
    "realtime.audioEndSeconds": "up to where its audio reaches",
    "realtime.retracted": "whether it withdraws the text of its segment",
    "final.stableTextAgreed": "whether the final begins with the words that partials had shown as stable",
    "final.pieces": "words or phrases with times and confidence, if the engine gives them",
    "*egment.audioStartSeconds": "start of the speech in the audio of the client",
    "*egment.audioEndSeconds": "end of the speech there",
    "*egment.cut": "whether the next utterance continues it",
    "*.wakeWord.word": "detected wake word",
    "*metrics.suppressedTexts": "texts withheld because they contain no speech",
    "http_metrics.sessions.*.suppressedTexts": "the same",
    "*metrics.droppedCandidates": "sounds that might have been speech and were no utterance",
    "http_metrics.sessions.*.droppedCandidates": "the same",
    "*.workers.*.engine": "engine of the lane",
    "*.workers.*.model": "loaded model",
    "*.workers.*.device": "device in use",
    "*.workers.*.capabilities": "capabilities of that engine",
    "*.workers.*.state": "whether the lane has an engine, waits for one, or has failed",
    "*.workers.*.workers": "engines that the lane should have",
    "*.workers.*.serving": "engines that it has",
    "*.workers.*.restarts": "engines given up",
    "*.workers.*.hungThreads": "engines given up that still hang",
    "*.workers.*.droppedPartials": "partials lost with their engine",
    "*.workers.*.lastError": "why an engine was last lost or not loaded",
    "*.workers.*.notice": "how engines run otherwise than the settings ask",
    "http_config.schema": "declaration of each setting; one is in the file http_config_schema",
    "http_config_schema.label": "name of a setting for people",
    "http_config_schema.unit": "unit of a setting",
    "http_config_update.warnings": "changes without effect",
}
"""Path of each added field (kind of the file first, `*` for any part), and its purpose."""

ADDED_MESSAGES = {
    "auth_required": "asks for a key if the handshake had none",
    "flushed": "answers our command `flush`",
    "heartbeat": "sent at intervals while a client streams",
    "resumed": "answers our command `resume`",
    "turn_resumed": "speech goes on in a segment whose final came early",
    "timeline_segment_closed": "ends a segment that has no final",
}
"""Files of added messages, and their purpose."""

_MAPS = frozenset({"queues", "workers", "sessions", "perSession"})
"""Objects whose keys are names, not fields."""


def names() -> list[str]:
    """Every golden file."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def golden(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def kind_of(name: str) -> str:
    """First part of the paths of a file: the type of an event, or the name of an HTTP body."""
    return name if name.startswith("http_") else name.partition("_")[0]


def written(value: Any) -> str:
    """JSON text in which 1, 1.0 and true differ, and the order of keys does not matter."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False)


def shared_part(value: Any, path: str) -> tuple[Any, set[str]]:
    """A message without its additions, and the patterns of `ADDED_FIELDS` that they match."""
    used: set[str] = set()

    def pruned(value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [pruned(item, path) for item in value]
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, field in value.items():
            patterns = {pattern for pattern in ADDED_FIELDS if fnmatchcase(f"{path}.{key}", pattern)}
            used.update(patterns)
            if not patterns:
                kept[key] = pruned(field, f"{path}.{key}")
        return kept

    return pruned(value, path), used


def differences(actual: Any, expected: Any, path: str) -> list[str]:
    """Differences in shape from a golden message: fields, and JSON types with int and float apart.

    A null in the golden message stands for a value that may be null.
    """
    if expected is None:
        return []
    if type(actual) is not type(expected):
        return [f"{path} is {actual!r}, not like {expected!r}"]
    if isinstance(expected, list):
        return [line for item in actual for line in differences(item, expected[0], f"{path}[]")]
    if not isinstance(expected, dict) or path.endswith(".settings"):  # settings have their own tests
        return []
    if path.rpartition(".")[2] in _MAPS:
        model = next(iter(expected.values()))
        return [line for key, item in actual.items() for line in differences(item, model, f"{path}.{key}")]
    found = [f"{path}.{key} is missing" for key in expected.keys() - actual.keys()]
    found += [f"{path}.{key} is new" for key in actual.keys() - expected.keys()]
    for key in expected.keys() & actual.keys():
        found += differences(actual[key], expected[key], f"{path}.{key}")
    return found
