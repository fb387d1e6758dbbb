"""The schema that `/api/config` reports for each setting agrees with the setting's declaration."""

import msgspec
import pytest

from tests.support.declared import bounds, is_optional
from trio_stt.server.setting_schemas import setting_schemas
from trio_stt.settings import Declaration, Settings, declarations, public_settings, runtime_settings

PUBLIC = [declaration for declaration in declarations() if declaration.public]
TYPES = {bool: "boolean", int: "integer", float: "number", str: "text", tuple: "numbers"}


@pytest.mark.parametrize("declaration", PUBLIC, ids=lambda declaration: declaration.name)
def test_schema_matches_the_declaration(declaration: Declaration) -> None:
    schema, allowed = setting_schemas()[declaration.name], bounds(declaration)
    assert declaration.name in runtime_settings()[schema.runtime_class]
    assert schema.type == TYPES[declaration.value_type]
    assert schema.nullable == is_optional(declaration)
    assert (schema.minimum, schema.maximum, schema.exclusive_minimum) == (allowed.low, allowed.high, allowed.above_low)
    assert schema.max_length == allowed.longest
    assert schema.choices == declaration.choices
    assert schema.help == declaration.help
    assert schema.flag in declaration.flags or (not declaration.flags and schema.flag == "")


def test_public_settings_have_schemas_and_no_others() -> None:
    shown = set(public_settings(Settings())) - {"wake_word_enabled"}
    assert set(setting_schemas()) == shown
    assert list(setting_schemas()) == [declaration.name for declaration in PUBLIC]


def test_settings_are_grouped() -> None:
    groups: dict[str, set[str]] = {}
    for name, schema in setting_schemas().items():
        groups.setdefault(schema.group, set()).add(name)
    assert list(groups) == ["server", "access", "engines", "speech", "wake"]
    assert "max_audio_speed" in groups["access"]
    assert "max_sessions" in groups["server"]
    assert "model" in groups["engines"]
    assert "silero_sensitivity" in groups["speech"]
    assert "wake_words" in groups["wake"]


def test_schema_defaults_are_json() -> None:
    defaults = {name: schema.default for name, schema in setting_schemas().items()}
    declared = {declaration.name: declaration.field.default for declaration in PUBLIC}
    assert msgspec.json.decode(msgspec.json.encode(defaults)) == msgspec.json.decode(msgspec.json.encode(declared))
