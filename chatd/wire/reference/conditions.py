"""What types of fields cannot say, as parts of JSON Schema. Subsystems declare it for their commands, see `Subsystem.conditions`.

`components` puts it into the schema of the command, `openapi` into that of the request body. Texts have no NUL and integers fit
64 bits (see `free_form`), which `bounded` adds to every field that says nothing itself.
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
    """These fields are there, and not null."""
    return {"required": list(names), "properties": {name: {"not": {"type": "null"}} for name in names}}


# What a map without a form of its own may hold.
JSON = "Json"
ANY_JSON: Schema = {"$ref": f"#/components/schemas/{JSON}"}
FREE_FORM: Schema = {"type": "object", "propertyNames": {"pattern": NO_NUL}, "additionalProperties": ANY_JSON}
JSON_VALUE: Schema = {
    "description": "What JSON can hold: integers of 64 bits, texts without NUL.",
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

# Texts that take a form, of which something has to be left. See `chatd.app.command_texts`.
FORMED = (TextKind.NAME, TextKind.PROSE, TextKind.KEY, TextKind.LOOKUP)


def changes(kind: type[Struct]) -> Schema:
    """At least one of the optional fields is given."""
    return {"anyOf": [given(field.encode_name) for field in structs.fields(kind) if not field.required]}


def add_condition(schemas: dict[str, Schema], condition: Condition) -> None:
    """To the schema of its type, where that is among them."""
    schema = schemas.get(condition.kind.__name__)
    if schema is not None:
        schema["properties"] |= {name: with_part(schema["properties"][name], part) for name, part in condition.fields.items()}
        schema.update(condition.schema)


def narrowed(kind: type[Struct], properties: dict[str, Schema]) -> dict[str, Schema]:
    """The fields of a command, with what is known of all texts and numbers."""
    formed = {name for name, text in text_fields(kind) if text in FORMED}
    return {name: bounded(visible(schema) if name in formed else schema) for name, schema in properties.items()}


def visible(schema: Any) -> Any:
    """With the rule that a text, also as a key of a map, has a visible character."""
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
    """Also where the field may be null."""
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
    """With all that is known of maps without a form of their own."""
    if isinstance(schema, list):
        return [free_form(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object" and not schema.keys() & {"properties", "additionalProperties"}:
        return {**schema, **FREE_FORM}
    return {name: free_form(part) for name, part in schema.items()}
