"""Settings from the environment: which variables are meant for trio-stt.

`load_settings` parses their values. An empty variable counts as unset, because service files and containers declare
variables that they leave empty.
"""

import os
import re

ENV_PREFIX = "TRIO_STT_"

_TEST_PREFIX = "TRIO_STT_TEST_"  # variables of the tests; the server never reads them

_OF_A_SERVICE = re.compile(
    r"TRIO_STT_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
"""Variables that Kubernetes sets in every container beside a service named `trio-stt`, for links as Docker had them."""

_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
"""Start of `TRIO_STT_PORT` in such a container; our setting of that name is a number."""


def settings_from_environment() -> dict[str, str]:
    """The text of each setting in the environment, by the setting's name; names are not checked."""
    return {
        variable.removeprefix(ENV_PREFIX).lower(): text
        for variable, text in sorted(os.environ.items())
        if variable.startswith(ENV_PREFIX) and text and not _is_foreign(variable, text)
    }


def _is_foreign(variable: str, text: str) -> bool:
    if variable == f"{ENV_PREFIX}PORT":
        return _SERVICE_ADDRESS.match(text) is not None
    return variable.startswith(_TEST_PREFIX) or _OF_A_SERVICE.fullmatch(variable) is not None
