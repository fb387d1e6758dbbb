"""Writes the OpenAPI document of declared operations. Pure: declarations in, JSON out."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec

from trio_stt.access.middleware import needed_scope
from trio_stt.api.openapi.declarations import Content, Operation
from trio_stt.protocol.http_errors import error_type

_Json = dict[str, Any]
_PREFIX = "#/components/schemas/"
_PARAMETER = re.compile(r"\{(\w+)\}")
_KEY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of the server; its scope is `talk` or `admin`.",
}


def openapi_json(operations: Sequence[Operation], *, has_keys: bool) -> bytes:
    """The document in JSON.

    Args:
        operations: Those that the server has.
        has_keys: Whether the server has keys, which its clients then need.
    """
    schemas = _Schemas(dict.fromkeys(each for operation in operations for each in _types(operation)))
    paths: dict[str, _Json] = {}
    for operation in operations:
        described = _operation(operation, schemas)
        if has_keys:
            scope = needed_scope(operation.method, operation.path)
            described["security"] = [{"key": [scope.value]}] if scope else []
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    components: _Json = {"schemas": schemas.components}
    if has_keys:
        components["securitySchemes"] = {"key": _KEY_SCHEME}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "trio-stt",
                "summary": "Speech-to-text: the HTTP routes. Live audio goes over WebSockets, outside of OpenAPI.",
                "version": version("trio-stt"),
            },
            "paths": paths,
            "components": components,
        }
    )


def _types(operation: Operation) -> Iterator[Any]:
    """All types that an operation needs."""
    for content in (operation.body, *operation.answers.values()):
        for types in content.values():
            yield from types
    yield from operation.text_types
    yield error_type(operation.path)
    if operation.query is not None:
        yield operation.query


class _Schemas:
    """The schemas of these types.

    Attributes:
        components: Those with a name, for the document; the types of queries are not among them.
    """

    def __init__(self, types: Iterable[Any]) -> None:
        types = list(types)
        schemas, self.components = msgspec.json.schema_components(
            types,
            # `object`: msgspec takes an empty schema for none.
            schema_hook=lambda _: {"description": "Any JSON value."},
            ref_template=f"{_PREFIX}{{name}}",
        )
        self._schemas = dict(zip(types, schemas, strict=True))
        self._queries: dict[type, _Json] = {}

    def content(self, content: Content) -> _Json:
        """The bodies by media type."""
        return {kind: {"schema": self._any_of(types)} for kind, types in content.items()}

    def query(self, query: type) -> list[_Json]:
        """The fields of a type as parameters."""
        if query not in self._queries:
            self._queries[query] = self.components.pop(self._schemas[query]["$ref"].removeprefix(_PREFIX))
        properties: Mapping[str, _Json] = self._queries[query]["properties"]
        return [
            {"name": name, "in": "query", "description": schema.get("description", ""), "schema": schema}
            for name, schema in properties.items()
        ]

    def _any_of(self, types: Sequence[Any]) -> _Json:
        schemas = [self._schemas[each] for each in types]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _operation(operation: Operation, schemas: _Schemas) -> _Json:
    words = re.findall(r"\w+", f"{operation.method.lower()} {operation.path}")
    described: _Json = {"operationId": "_".join(words), "tags": [operation.tag], "summary": operation.summary}
    parameters: list[_Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        parameters += schemas.query(operation.query)
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = {"required": operation.needs_body, "content": schemas.content(operation.body)}
    described["responses"] = {
        str(status): {"description": HTTPStatus(status).phrase, "content": schemas.content(content)}
        for status, content in operation.answers.items()
    }
    described["responses"]["default"] = {
        "description": "An error",
        "content": schemas.content({"application/json": (error_type(operation.path),)}),
    }
    return described
