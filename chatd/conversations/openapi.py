"""Conditions of commands that the types of their fields cannot express, and the patterns of cursors."""

from chatd.conversations.attachment_types import FIELDS, FORMS, AttachmentInput
from chatd.conversations.button_types import FIELDS as BUTTON_FIELDS
from chatd.conversations.button_types import Button, Kind
from chatd.conversations.commands.group_settings import EditConversation
from chatd.conversations.commands.joining import JoinConversation
from chatd.conversations.commands.listing import ListConversations
from chatd.conversations.commands.sync import SyncSession
from chatd.conversations.commands.user_settings import SetConversation
from chatd.conversations.messages.edits import EditMessage
from chatd.conversations.messages.sending import SendMessage
from chatd.conversations.messages.stars import ListStarred
from chatd.core.text_forms import VISIBLE_PATTERN
from chatd.wire.reference.conditions import UUID, changes, given
from chatd.wire.reference.description import Condition, Schema

TEXT_OR_ATTACHMENTS: Schema = {
    "anyOf": [
        {"required": ["text"], "properties": {"text": {"type": "string", "minLength": 1, "pattern": VISIBLE_PATTERN}}},
        {"required": ["attachments"], "properties": {"attachments": {"minItems": 1}}},
    ]
}
CONVERSATION_OR_SECRET: Schema = {
    "anyOf": [
        {**given("conversation"), "not": given("secret")},
        {**given("secret"), "not": given("conversation")},
    ]
}


def form_of(type_: str) -> Schema:
    """The fields of one type of attachment. That of an upload or a link may be left out."""
    required, optional = FORMS[type_]
    may_omit_type = type_ in ("file", "link")
    form: Schema = {
        "allOf": [given(field) for field in required],
        "not": {"anyOf": [given(field) for field in FIELDS if field not in required and field not in optional]},
        "required": [] if may_omit_type else ["type"],
        "properties": {"type": {"enum": [type_, None] if may_omit_type else [type_]}},
    }
    if type_ == "link":
        form["properties"]["url"] = {"type": "string", "pattern": "^https?://[A-Za-z0-9.-]+"}
    if type_ == "contact":
        form["anyOf"] = [given("phones"), given("emails")]
    return form


ATTACHMENT_FORMS: Schema = {"anyOf": [form_of(type_) for type_ in FORMS]}


def form_of_button(kind: Kind) -> Schema:
    """The field of one kind of button. The kind `press` may be left out."""
    needed = BUTTON_FIELDS[kind]
    return {
        **given(needed),
        "not": {"anyOf": [given(field) for field in BUTTON_FIELDS.values() if field != needed]},
        "required": [needed, *([] if kind == "press" else ["kind"])],
        "properties": {"kind": {"enum": [kind]}, needed: {"not": {"type": "null"}}},
    }


BUTTON_FORMS: Schema = {"anyOf": [form_of_button(kind) for kind in BUTTON_FIELDS]}
BUTTON_TEXTS: dict[str, Schema] = {
    "label": {"pattern": VISIBLE_PATTERN},
    "text": {"pattern": VISIBLE_PATTERN},
    "command": {"pattern": "^/[A-Za-z0-9_]+$"},
    "url": {"pattern": "^https://[A-Za-z0-9.-]+"},
}
# Mentions belong to a text.
TEXT_OR_BUTTONS: Schema = {
    "anyOf": [
        given("text"),
        {**given("actions"), "not": {"anyOf": [given("mentions"), given("everybody")]}},
    ]
}
CONDITIONS = (
    Condition(SendMessage, TEXT_OR_ATTACHMENTS),
    Condition(Button, BUTTON_FORMS, fields=BUTTON_TEXTS),
    Condition(EditMessage, TEXT_OR_BUTTONS, fields={"text": {"pattern": VISIBLE_PATTERN}}),
    Condition(JoinConversation, CONVERSATION_OR_SECRET),
    Condition(EditConversation, changes(EditConversation)),
    Condition(SetConversation, changes(SetConversation)),
    Condition(AttachmentInput, ATTACHMENT_FORMS),
    Condition(
        ListConversations,
        fields={
            "cursor": {
                "pattern": rf"^(0|[1-9][0-9]{{0,18}})\.[0-9a-f]{{8}}\.([01]\.[0-9]{{1,18}}\.)?{UUID}$",
            }
        },
    ),
    Condition(ListStarred, fields={"cursor": {"pattern": rf"^[0-9]{{1,18}}\.{UUID}\.[0-9]{{1,18}}$"}}),
    Condition(
        SyncSession,
        fields={"cursor": {"pattern": rf"^[0-9.]{{1,40}}:(0|[1-9][0-9]{{0,18}}):(|0|[1-9][0-9]{{0,18}}):{UUID}$"}},
    ),
)
