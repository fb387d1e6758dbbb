"""Environment variables that are not settings, and empty ones."""

import pytest

from tests.support.declared import SETTABLE, no_settings_in_environment
from trio_stt.cli import checks
from trio_stt.errors import SettingError
from trio_stt.settings import load_settings

pytestmark = pytest.mark.usefixtures(no_settings_in_environment.__name__)

KUBERNETES = {
    "TRIO_STT_SERVICE_HOST": "10.3.0.7",
    "TRIO_STT_SERVICE_PORT": "8010",
    "TRIO_STT_SERVICE_PORT_HTTP": "8010",
    "TRIO_STT_SERVICE_PORT_HTTP_2": "8011",
    "TRIO_STT_PORT": "tcp://10.3.0.7:8010",
    **{
        f"TRIO_STT_PORT_{port}_{protocol}{part}": value
        for port in (8010, 8011)
        for protocol in ("TCP", "UDP", "SCTP")
        for part, value in (("", "tcp://10.3.0.7:8010"), ("_PROTO", "tcp"), ("_PORT", "8010"), ("_ADDR", "10.3.0.7"))
    },
}


def test_variables_of_a_kubernetes_service_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    assert load_settings() == load_settings({})
    assert load_settings().port == 8010
    assert not checks.from_environment()
    monkeypatch.setenv("TRIO_STT_HOST", "0.0.0.0")  # noqa: S104 - nothing listens
    assert load_settings({"port": 8012}).port == 8012
    assert checks.from_environment() == {"TRIO_STT_HOST": "0.0.0.0"}  # noqa: S104 - as above


@pytest.mark.parametrize("name", ["TRIO_STT_SERVICE", "TRIO_STT_PORT_TCP", "TRIO_STT_PORT_80_TCP_NAME"])
def test_other_names_are_still_rejected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingError, match=f"^{name}: no such setting"):
        load_settings()


@pytest.mark.parametrize("text", ["8010x", "http://127.0.0.1:80"])
def test_port_that_is_no_number_is_still_rejected(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIO_STT_PORT", text)
    with pytest.raises(SettingError, match=r"^TRIO_STT_PORT: "):
        load_settings()


def test_empty_variables_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for declaration in SETTABLE:
        monkeypatch.setenv(declaration.env, "")
    monkeypatch.setenv("TRIO_STT_NO_SUCH_SETTING", "")
    settings = load_settings()
    assert settings == load_settings({})
    assert not checks.from_environment()


@pytest.mark.parametrize(
    ("name", "suggestion"), [("TRIO_STT_PROT", "TRIO_STT_PORT"), ("TRIO_STT_KEY_FILE", "TRIO_STT_KEYS_FILE")]
)
def test_misspelt_variable_gets_suggestions(name: str, suggestion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingError, match=rf"^{name}: no such setting; did you mean .*{suggestion}.*\?$"):
        load_settings()


@pytest.mark.parametrize(
    ("language", "code"), [("auto", None), ("AUTO", None), ("", None), (" ", None), ("de", "de"), ("en", "en")]
)
def test_language_may_be_left_to_the_model(language: str, code: str | None) -> None:
    assert load_settings({"language": language}).language_code == code
