"""The schema of the public settings as `/api/config` reports it, from which the page builds its settings panel."""

from functools import cache
from typing import Any, Literal

from trio_stt.protocol.config_reports import SettingSchema
from trio_stt.settings import Declaration, declarations
from trio_stt.settings.labels import label_of

_TYPES: dict[str, Literal["boolean", "integer", "number", "text", "numbers"]] = {
    "boolean": "boolean",
    "integer": "integer",
    "number": "number",
    "string": "text",
    "array": "numbers",
}


@cache
def setting_schemas() -> dict[str, SettingSchema]:
    """The schema of each public setting, by name, in the order of declaration."""
    return {declaration.name: _schema(declaration) for declaration in declarations() if declaration.public}


def _schema(declaration: Declaration) -> SettingSchema:
    whole = declaration.adapter.json_schema()
    kinds: list[dict[str, Any]] = whole.get("anyOf", [whole])  # of a setting that may be null: its type and null
    kind = next(each for each in kinds if each["type"] != "null")
    ranged = kind.get("items", kind)
    label = label_of(declaration.name)
    return SettingSchema(
        runtime_class=declaration.runtime.value,
        group=declaration.group,
        type=_TYPES[kind["type"]],
        nullable=len(kinds) > 1,
        minimum=ranged.get("minimum", ranged.get("exclusiveMinimum")),
        exclusive_minimum="exclusiveMinimum" in ranged,
        maximum=ranged.get("maximum"),
        max_length=kind.get("maxLength", kind.get("maxItems")),
        choices=tuple(kind.get("enum", [kind["const"]] if "const" in kind else [])),
        default=declaration.field.default,
        label=label.text,
        unit=label.unit,
        help=declaration.help,
        flag=declaration.flags[0] if declaration.is_settable else "",
        environment=declaration.env if declaration.is_settable else "",
    )
