"""Renders JSON Schema as text for the reference, and as TypeScript."""

import json
from typing import Any

from chatd.core.text_forms import VISIBLE_PATTERN
from chatd.wire.reference.conditions import NO_NUL

ANY = "any"


def name_of(reference: str) -> str:
    return reference.rpartition("/")[2]


def in_words(schema: dict[str, Any]) -> str:
    """A type with its limits: `str, 1 to 64 characters`."""
    if "anyOf" in schema:
        return " or ".join(in_words(part) for part in schema["anyOf"])
    if "$ref" in schema:
        return f"[{name_of(schema['$ref'])}](#{name_of(schema['$ref']).lower()})"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}.get(schema.get("type", ANY))
    if schema.get("type") == "array":
        return f"list of {in_words(schema.get('items', {}))}{limits(schema, 'Items', 'items')}"
    if kind is None:
        return {"object": "map", "null": "null"}.get(schema.get("type", ANY), ANY)
    if schema.get("pattern", "").startswith("^[0-9a-f]{8}"):
        return "UUID"
    return kind + limits(schema, "Length", "characters") + bounds(schema) + matching(schema.get("pattern", NO_NUL))


def matching(pattern: str) -> str:
    """A pattern in words. The rule that text contains no NUL is not repeated for each field."""
    if pattern == NO_NUL:
        return ""
    return ", with a visible character" if pattern == VISIBLE_PATTERN else f", matching `{pattern}`"


def limits(schema: dict[str, Any], suffix: str, unit: str) -> str:
    low, high = schema.get(f"min{suffix}"), schema.get(f"max{suffix}")
    if high is None:
        return ""
    return f", {low} to {high} {unit}" if low else f", at most {high} {unit}"


def bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None:
        return ""
    if low <= -(2**53):
        return ""
    return f", from {low}" if high is None or high > 2**53 else f", {low} to {high}"


def in_typescript(schema: dict[str, Any]) -> str:
    """A type as TypeScript."""
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(in_typescript(part) for part in schema["anyOf"]))
    if "$ref" in schema:
        return name_of(schema["$ref"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"Array<{in_typescript(schema.get('items', {}))}>"
    simple = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
    return simple.get(
        schema.get("type", ANY), "Record<string, unknown>" if schema.get("type") == "object" else "unknown"
    )
