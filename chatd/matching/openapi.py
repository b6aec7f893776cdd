"""JSON Schema of the maps in `match.find`, which its field types cannot express: attributes, and conditions on them."""

from chatd.core.text_forms import VISIBLE_PATTERN
from chatd.matching.commands import FindMatch
from chatd.wire.reference.description import Condition, Schema

SCALAR: Schema = {
    "anyOf": [{"type": "boolean"}, {"type": "number"}, {"type": "string", "maxLength": 64, "pattern": VISIBLE_PATTERN}]
}
LIMITS: Schema = {
    "type": "object",
    "properties": {"min": {"type": "number"}, "max": {"type": "number"}},
    "additionalProperties": False,
}
WANTED: Schema = {"anyOf": [*SCALAR["anyOf"], {"type": "array", "items": SCALAR, "maxItems": 20}, LIMITS]}

ATTRIBUTES: Schema = {"propertyNames": {"minLength": 1, "maxLength": 32, "pattern": VISIBLE_PATTERN}}
ACCEPTS: Schema = {**ATTRIBUTES, "additionalProperties": WANTED}
CRITERIA: Schema = {
    "anyOf": [
        {
            "properties": {
                "accept": {"properties": dict.fromkeys(("must", "should", "must_not"), ACCEPTS)},
                "attributes": ATTRIBUTES,
            }
        }
    ]
}
CONDITIONS = (Condition(FindMatch, CRITERIA),)
