"""A typed client in Python, one file of the standard library alone. Pure but for its template."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Final

from mediaserver.api.clients.calls import Call, Schema, calls, ref_name

_TYPES: Final = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
}


def text(document: Mapping[str, Any]) -> str:
    """Return the module."""
    template = resources.files(__package__).joinpath("client.py.template").read_text()
    schemas = document["components"]["schemas"].items()
    types = "\n\n".join(_record(name, schema) for name, schema in schemas)
    methods = "\n\n".join(line for call in calls(document) for line in _methods(call))
    return template.replace("# made: types", types).replace("    # made: calls", methods)


def _record(name: str, schema: Schema) -> str:
    fields = schema.get("properties", {})
    needed = schema.get("required", ())

    def kind(field: str, of_field: Schema) -> str:
        return _type(of_field) if field in needed else f"NotRequired[{_type(of_field)}]"

    shown = [(field, kind(field, of_field)) for field, of_field in fields.items()]
    if any(keyword.iskeyword(field) for field in fields):
        inner = ", ".join(f'"{field}": "{of_field}"' for field, of_field in shown)
        return f'{name} = TypedDict("{name}", {{{inner}}})'
    lines = [f"    {field}: {of_field}" for field, of_field in shown] or ["    pass"]
    return "\n".join([f"class {name}(TypedDict):", *lines])


def _type(schema: Schema) -> str:
    if name := ref_name(schema):
        return name
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    if schema.get("type") == "array":
        return f"list[{_type(schema.get('items', {}))}]"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"dict[str, {_type(inner) if isinstance(inner, dict) else 'Any'}]"
    return _TYPES.get(schema.get("type", ""), "Any")


def _methods(call: Call) -> Iterator[str]:
    places = [f"{_name(name)}: str" for name in call.names]
    if call.body is not None:
        places.append(f"body: {_type(call.body)}")
    names = [argument.name for argument in call.query]
    named = [
        f"{_name(it.name)}: {_type(it.schema)}{'' if it.is_required else ' | None = None'}"
        for it in call.query
    ]
    if call.is_keyed:
        named.append("idempotency_key: str | None = None")
    answer = _type(call.answer) if call.answer is not None else ""
    answer = " | ".join(filter(None, (answer, "bytes" if call.has_bytes else ""))) or "None"
    values = [
        f'"{call.method}"',
        f'f"{_path(call)}"' if call.names else f'"{call.path}"',
        *(["body=body"] if call.body is not None else []),
        *([f"query={{{_pairs(names)}}}"] if names else []),
        *(["key=idempotency_key or new_key()"] if call.is_keyed else []),
    ]
    yield "\n".join(
        [
            f"    def {call.name}({_signature(places, named)}) -> {answer}:",
            f'        """{call.text}."""',
            f"        return cast({answer!r}, self.call({', '.join(values)}))",
        ]
    )
    if call.page is None:
        return
    of_page = [name for name in names if name != call.page.cursor]
    given = [*map(_name, call.names), *(f"{_name(name)}={_name(name)}" for name in of_page)]
    cursor, row = _name(call.page.cursor), _type(call.page.row)
    given.append(f"{cursor}=cursor")
    yield "\n".join(
        [
            f"    def {call.each}({_signature(places, named)}) -> Iterator[{row}]:",
            f'        """Yield each row of `{call.name}`, page after page, from `{cursor}` on."""',
            f"        cursor: Any = {cursor}",
            "        while True:",
            f"            page: Any = self.{call.name}({', '.join(given)})",
            f'            yield from page["{call.page.field}"]',
            f'            cursor = next_cursor(page, "{call.page.cursor}", cursor)',
            "            if cursor is None:",
            "                return",
        ]
    )


def _signature(places: list[str], named: list[str]) -> str:
    return ", ".join(["self", *places, *(["*", *named] if named else [])])


def _path(call: Call) -> str:
    path = call.path
    for name in call.names:
        path = path.replace(f"{{{name}}}", f"{{quote({_name(name)}, safe='')}}")
    return path


def _pairs(names: list[str]) -> str:
    return ", ".join(f'"{name}": {_name(name)}' for name in names)


def _name(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name
