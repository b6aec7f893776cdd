"""Conditions of commands that the types of their fields cannot express, and the patterns of cursors."""

from chatd.conversations.attachment_types import AttachmentInput
from chatd.conversations.commands.conversations import ListConversations
from chatd.conversations.commands.group_settings import EditConversation
from chatd.conversations.commands.joining import JoinConversation
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
UPLOAD_OR_LINK: Schema = {
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
CONDITIONS = (
    Condition(SendMessage, TEXT_OR_ATTACHMENTS),
    Condition(EditMessage, fields={"text": {"pattern": VISIBLE_PATTERN}}),
    Condition(JoinConversation, CONVERSATION_OR_SECRET),
    Condition(EditConversation, changes(EditConversation)),
    Condition(SetConversation, changes(SetConversation)),
    Condition(AttachmentInput, UPLOAD_OR_LINK),
    Condition(ListConversations, fields={"cursor": {"pattern": rf"^[0-9]{{1,18}}\.{UUID}$"}}),
    Condition(ListStarred, fields={"cursor": {"pattern": rf"^[0-9]{{1,18}}\.{UUID}\.[0-9]{{1,18}}$"}}),
    Condition(
        SyncSession,
        fields={"cursor": {"pattern": rf"^[0-9.]{{1,40}}:(0|[1-9][0-9]{{0,18}}):(|0|[1-9][0-9]{{0,18}}):{UUID}$"}},
    ),
)
