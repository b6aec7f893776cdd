"""What a command needs that the types of its fields cannot say, as parts of JSON Schema, by tag.

`components` puts them into the schema of the command, `openapi` into that of the request body. Texts have no NUL and integers fit
64 bits (see `free_form`), which `bounded` adds to every field that says nothing itself.
"""

from typing import Any

from msgspec import Struct, structs

from chatd.core.ids import PYTHON_END, UUID_PATTERN
from chatd.core.text_forms import VISIBLE_PATTERN
from chatd.wire.base import MAX_BIGINT
from chatd.wire.texts import TextKind, text_fields

NO_NUL = "^[^\\u0000]*$"
UUID = UUID_PATTERN.removeprefix("^").removesuffix(PYTHON_END)
Schema = dict[str, Any]


def given(*names: str) -> Schema:
    """These fields are there, and not null."""
    return {"required": list(names), "properties": {name: {"not": {"type": "null"}} for name in names}}


SCALAR: Schema = {
    "anyOf": [{"type": "boolean"}, {"type": "number"}, {"type": "string", "maxLength": 64, "pattern": VISIBLE_PATTERN}]
}
LIMITS: Schema = {
    "type": "object",
    "properties": {"min": {"type": "number"}, "max": {"type": "number"}},
    "additionalProperties": False,
}
CONDITION: Schema = {"anyOf": [*SCALAR["anyOf"], {"type": "array", "items": SCALAR, "maxItems": 20}, LIMITS]}

ATTRIBUTES: Schema = {"propertyNames": {"minLength": 1, "maxLength": 32, "pattern": VISIBLE_PATTERN}}
ACCEPTS: Schema = {**ATTRIBUTES, "additionalProperties": CONDITION}

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
# At least one field has to be given.
CHANGES = ("conversation.edit", "conversation.settings")
# One of these has to hold.
ONE_OF: dict[str, list[Schema]] = {
    "message.send": [
        {"required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}},
        {"required": ["attachments"], "properties": {"attachments": {"minItems": 1}}},
    ],
    "conversation.join": [
        {**given("conversation"), "not": given("secret")},
        {**given("secret"), "not": given("conversation")},
    ],
    "admin.ban": [
        {**given("user"), "not": given("address")},
        {
            **given("address"),
            "not": {"anyOf": [given("user"), {"required": ["devices"], "properties": {"devices": {"enum": [True]}}}]},
        },
    ],
    "match.find": [
        {
            "properties": {
                "accept": {"properties": dict.fromkeys(("must", "should", "must_not"), ACCEPTS)},
                "attributes": ATTRIBUTES,
            }
        }
    ],
    "report.create": [given("user"), given("conversation", "message")],
}
# The same for parts of commands, by the name of the struct.
PARTS: dict[str, Schema] = {
    "AttachmentInput": {
        "anyOf": [
            {
                **given("upload"),
                "not": {"anyOf": [given("url"), {"required": ["type"], "properties": {"type": {"const": "link"}}}]},
            },
            {
                "required": ["url"],
                "properties": {
                    "url": {"type": "string", "pattern": "^https?://[A-Za-z0-9.-]+"},
                    "type": {"enum": ["link", None]},
                },
                "not": given("upload"),
            },
        ]
    }
}
# Patterns of cursors: each list has its own, and clients take them as they are.
FIELDS: dict[str, Schema] = {
    "conversation.list.cursor": {"pattern": rf"^[0-9]{{1,18}}\.{UUID}$"},
    "message.search.cursor": {"pattern": rf"^[0-9]{{1,16}}\.{UUID}\.[0-9]{{1,18}}\.[0-9a-f]{{32}}$"},
    "message.starred.cursor": {"pattern": rf"^[0-9]{{1,18}}\.{UUID}\.[0-9]{{1,18}}$"},
    "session.sync.cursor": {"pattern": rf"^[0-9.]{{1,40}}:(0|[1-9][0-9]{{0,18}}):(|0|[1-9][0-9]{{0,18}}):{UUID}$"},
    "me.erase.confirm": {"enum": [True]},
}


def condition_of(kind: type[Struct]) -> Schema:
    """What is added to the schema of this command."""
    tag = str(kind.__struct_config__.tag)
    if tag in CHANGES:
        return {"anyOf": [given(field.encode_name) for field in structs.fields(kind) if not field.required]}
    return {"anyOf": ONE_OF[tag]} if tag in ONE_OF else {}


def narrowed(kind: type[Struct], properties: dict[str, Schema]) -> dict[str, Schema]:
    """The fields of a command, with all that is known of them."""
    tag, formed = kind.__struct_config__.tag, {name for name, text in text_fields(kind) if text in FORMED}
    return {
        name: bounded(with_part(visible(schema) if name in formed else schema, FIELDS.get(f"{tag}.{name}", {})))
        for name, schema in properties.items()
    }


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
