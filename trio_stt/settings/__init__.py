"""Settings of trio-stt, each declared once: name, type, range, default, flags, runtime class and help.

The command line, the environment, `/api/config`, the page and docs/settings.md derive from these declarations. Settings
are frozen: a change makes new ones (`revision`). This package does not know what a setting does to the server.
See docs/protocol.md, Settings.
"""

from trio_stt.settings.configuration import (
    Conflict,
    Declaration,
    Settings,
    declarations,
    load_settings,
    public_settings,
    runtime_settings,
    setting_warnings,
)
from trio_stt.settings.environment import ENV_PREFIX, settings_from_environment
from trio_stt.settings.option import MAX_SECONDS, Option, RuntimeClass, split_list
from trio_stt.settings.profiles import PROFILES

__all__ = [
    "ENV_PREFIX",
    "MAX_SECONDS",
    "PROFILES",
    "Conflict",
    "Declaration",
    "Option",
    "RuntimeClass",
    "Settings",
    "declarations",
    "load_settings",
    "public_settings",
    "runtime_settings",
    "setting_warnings",
    "settings_from_environment",
    "split_list",
]
