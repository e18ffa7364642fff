"""A typed client in TypeScript, one file that needs `fetch` alone. Pure but for its template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Final

from mediaserver.api.clients.calls import Call, Schema, calls, ref_name

_TYPES: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def text(document: Mapping[str, Any]) -> str:
    """Return the module."""
    template = resources.files(__package__).joinpath("client.ts.template").read_text()
    schemas = document["components"]["schemas"].items()
    types = "\n\n".join(_record(name, schema) for name, schema in schemas)
    methods = "\n\n".join(line for call in calls(document) for line in _methods(call))
    return template.replace("// made: types", types).replace("  // made: calls", methods)


def _record(name: str, schema: Schema) -> str:
    needed = schema.get("required", ())
    lines = [
        f"  {json.dumps(field)}{'' if field in needed else '?'}: {_type(of_field)};"
        for field, of_field in schema.get("properties", {}).items()
    ]
    return "\n".join([f"export interface {name} {{", *lines, "}"])


def _type(schema: Schema) -> str:
    if name := ref_name(schema):
        return name
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    if schema.get("type") == "array":
        return f"Array<{_type(schema.get('items', {}))}>"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"Record<string, {_type(inner) if isinstance(inner, dict) else 'unknown'}>"
    return _TYPES.get(schema.get("type", ""), "unknown")


def _methods(call: Call) -> Iterator[str]:
    places = [f"{_name(name)}_: string" for name in call.names]
    given = [f"{_name(name)}_" for name in call.names]
    options = [f"method: {json.dumps(call.method)}", f"path: `{_path(call)}`"]
    if call.body is not None:
        places.append(f"body: {_type(call.body)}")
        options.append("body")
    if call.query:
        fields = "; ".join(
            f"{json.dumps(it.name)}{'' if it.is_required else '?'}: {_type(it.schema)}"
            for it in call.query
        )
        is_needed = any(it.is_required for it in call.query)
        places.append(f"query: {{ {fields} }}{'' if is_needed else ' = {}'}")
        options.append("query")
    if call.is_keyed:
        places.append("idempotencyKey: string = newKey()")
        options.append("idempotencyKey")
    answer = _type(call.answer) if call.answer is not None else ""
    answer = " | ".join(filter(None, (answer, "Uint8Array" if call.has_bytes else ""))) or "null"
    yield "\n".join(
        [
            f"  /** {call.text}. */",
            f"  {_name(call.name)}({', '.join(places)}): Promise<{answer}> {{",
            f"    return this.call({{ {', '.join(options)} }}) as Promise<{answer}>;",
            "  }",
        ]
    )
    if call.page is None:
        return
    cursor, field = json.dumps(call.page.cursor), json.dumps(call.page.field)
    row = _type(call.page.row)
    asked = ", ".join([*given, f"{{ ...query, {cursor}: cursor }}"])
    yield "\n".join(
        [
            f"  /** Each row of `{_name(call.name)}`, page after page. */",
            f"  async *{_name(call.each)}({', '.join(places)}): AsyncGenerator<{row}, void> {{",
            f"    yield* pages<{row}>(query[{cursor}], {cursor}, {field}, (cursor) =>",
            f"      this.{_name(call.name)}({asked}),",
            "    );",
            "  }",
        ]
    )


def _path(call: Call) -> str:
    path = call.path
    for name in call.names:
        path = path.replace(f"{{{name}}}", f"${{encodeURIComponent({_name(name)}_)}}")
    return path


def _name(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)
