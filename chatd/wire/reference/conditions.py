"""Conditions that field types cannot declare, as JSON Schema. Subsystems declare them, see `Subsystem.conditions`.

`components` adds them to the schema of the command, `openapi` to that of the request body. Text contains no NUL and
integers fit into 64 bits (see `validation`), which `bounded` adds to every field without a condition of its own.
"""

from typing import Any

from msgspec import Struct, structs

from chatd.core.ids import PYTHON_END, UUID_PATTERN
from chatd.core.text_forms import VISIBLE_PATTERN
from chatd.wire.base import MAX_BIGINT
from chatd.wire.reference.description import Condition, Schema
from chatd.wire.texts import TextKind, text_fields

NO_NUL = "^[^\\u0000]*$"
UUID = UUID_PATTERN.removeprefix("^").removesuffix(PYTHON_END)


def given(*names: str) -> Schema:
    """The condition that these fields are present and not null."""
    return {"required": list(names), "properties": {name: {"not": {"type": "null"}} for name in names}}


# The values of a free-form map.
JSON = "Json"
ANY_JSON: Schema = {"$ref": f"#/components/schemas/{JSON}"}
FREE_FORM: Schema = {"type": "object", "propertyNames": {"pattern": NO_NUL}, "additionalProperties": ANY_JSON}
JSON_VALUE: Schema = {
    "description": "Any JSON value, with integers of 64 bits and text without NUL.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "integer", "minimum": -MAX_BIGINT - 1, "maximum": MAX_BIGINT},
        {"type": "number"},
        {"type": "string", "pattern": NO_NUL},
        {"type": "array", "items": ANY_JSON},
        FREE_FORM,
    ],
}

# Texts that are normalized, and must not be empty afterwards. See `chatd.app.command_texts`.
NORMALIZED = (TextKind.NAME, TextKind.PROSE, TextKind.KEY, TextKind.LOOKUP)


def changes(kind: type[Struct]) -> Schema:
    """The condition that at least one of the optional fields is present."""
    return {"anyOf": [given(field.encode_name) for field in structs.fields(kind) if not field.required]}


def add_condition(schemas: dict[str, Schema], condition: Condition) -> None:
    """Add a condition to the schema of its type, if that is among them."""
    schema = schemas.get(condition.kind.__name__)
    if schema is not None:
        schema["properties"] |= {
            name: with_part(schema["properties"][name], part) for name, part in condition.fields.items()
        }
        schema.update(condition.schema)


def narrowed(kind: type[Struct], properties: dict[str, Schema]) -> dict[str, Schema]:
    """The fields of a command, with the conditions of all texts and numbers."""
    normalized = {name for name, text in text_fields(kind) if text in NORMALIZED}
    return {name: bounded(visible(schema) if name in normalized else schema) for name, schema in properties.items()}


def visible(schema: Any) -> Any:
    """Require a visible character in texts and keys of maps."""
    if isinstance(schema, list):
        return [visible(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: visible(part) for name, part in schema.items()}
    if made.get("type") == "string" and "enum" not in made:
        made["pattern"] = VISIBLE_PATTERN
    if made.get("type") == "object" and "propertyNames" in made:
        made["propertyNames"] = {**made["propertyNames"], "pattern": VISIBLE_PATTERN}
    return made


def with_part(schema: Schema, part: Schema) -> Schema:
    """Add a part to the schema of a field, which may be nullable."""
    if part and "anyOf" in schema:
        return {**schema, "anyOf": [one if one.get("type") == "null" else {**one, **part} for one in schema["anyOf"]]}
    return {**schema, **part}


def bounded(schema: Any) -> Any:
    if isinstance(schema, list):
        return [bounded(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: bounded(part) for name, part in schema.items()}
    if made.get("type") == "string" and not made.keys() & {"pattern", "enum", "format"}:
        made["pattern"] = NO_NUL
    if made.get("type") == "integer" and "enum" not in made:
        made.setdefault("minimum", -MAX_BIGINT - 1)
        made.setdefault("maximum", MAX_BIGINT)
    return made


def free_form(schema: Any) -> Any:
    """Add the conditions of free-form maps."""
    if isinstance(schema, list):
        return [free_form(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object" and not schema.keys() & {"properties", "additionalProperties"}:
        return {**schema, **FREE_FORM}
    return {name: free_form(part) for name, part in schema.items()}
