"""Command-line flags derived from the declared settings. It must not declare or check a setting itself."""

import argparse
from collections.abc import Collection, Iterator
from typing import Any

from trio_stt.settings import Declaration, declarations

_PREFIX = "setting_"  # keeps settings apart from a command's own arguments

_COMMON = (
    *("host", "port", "transcription_engine", "model", "language", "device", "offline"),
    *("keys_file", "certfile", "keyfile"),
)
"""The ten settings that most servers set, which `--help` shows first."""

_GROUPS = {
    "common": "most used",
    "server": "server, sessions and recordings",
    "access": "access: names, keys, TLS, proxies and limits",
    "engines": "engines and lanes",
    "speech": "utterances and partials",
    "wake": "wake words",
}
_ENGINES = frozenset({"transcription_engine", "realtime_transcription_engine"})
_METAVARS = {
    **dict.fromkeys(_ENGINES, "ENGINE"),
    **dict.fromkeys(("model", "realtime_model"), "NAME|PATH"),
    **dict.fromkeys(("keys_file", "certfile", "keyfile"), "FILE"),
    **dict.fromkeys(("download_root", "record"), "FOLDER"),
    "openwakeword_model_paths": "FILES",
    "host": "ADDRESS",
    "language": "CODE",
    "root_path": "PATH",
}
_METAVAR_OF_TYPE = {int: "N", float: "NUMBER", tuple: "NUMBERS", dict: "JSON", str: "TEXT"}


class _Suggestions:
    """Choices that `--help` and completion show. argparse accepts any value, because the settings check them."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def __contains__(self, value: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)


class _Engines(_Suggestions):
    """The names of the engines, looked up only where they are shown."""

    def __init__(self) -> None:
        super().__init__(())

    def __iter__(self) -> Iterator[str]:
        from trio_stt.lanes.engines.registry import engine_specs  # noqa: PLC0415 - numpy would delay each command

        return (spec.name for spec in engine_specs())


def add_settings(parser: argparse.ArgumentParser, *, without: Collection[str] = ()) -> None:
    """Add a flag for every setting except those named in `without`, the most used first."""
    groups: dict[str, Any] = {}
    shown = [each for each in declarations() if each.name not in without and each.is_settable]
    for declaration in sorted(shown, key=_rank):
        name = "common" if declaration.name in _COMMON else declaration.group
        if name not in groups:
            groups[name] = parser.add_argument_group(_GROUPS[name])
        groups[name].add_argument(*declaration.flags, **_arguments(declaration))
    if groups:
        parser.epilog = "Each can also be set in the environment, as TRIO_STT_PORT for --port; see docs/settings.md."


def _rank(declaration: Declaration) -> tuple[int, int]:
    common = declaration.name in _COMMON
    return (0, _COMMON.index(declaration.name)) if common else (list(_GROUPS).index(declaration.group), 0)


def _arguments(declaration: Declaration) -> dict[str, object]:
    """What `add_argument` needs besides the flags."""
    default = declaration.default_text
    text = declaration.help + (f" Default: {default}." if default else "")
    common = {"dest": _PREFIX + declaration.name, "default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
    if declaration.is_flag_only:
        return {**common, "action": "store_const", "const": not declaration.field.default}
    if declaration.name in _ENGINES:
        return {**common, "choices": _Engines(), "metavar": "ENGINE", "help": f"{common['help']} One of: %(choices)s."}
    if declaration.choices:
        return {**common, "choices": _Suggestions(declaration.choices)}
    return {**common, "metavar": _METAVARS.get(declaration.name) or _METAVAR_OF_TYPE[declaration.value_type]}


def given_settings(parsed: argparse.Namespace) -> dict[str, object]:
    """The settings given as flags, by name, unparsed."""
    return {name.removeprefix(_PREFIX): value for name, value in vars(parsed).items() if name.startswith(_PREFIX)}
