"""Settings of conversations."""

from typing import Annotated, Literal

from msgspec import Meta

from chatd.core.config import (
    Count,
    Declaration,
    Duration,
    NamedSettings,
    Seconds,
    Section,
    Settings,
    doc,
)


class MessageLogSettings(Section, frozen=True):
    flushers: Annotated[
        Count, doc("Number of connections that commit messages, each for its share of the conversations.")
    ] = 2
    batch: Annotated[Count, doc("Maximum messages per commit.")] = 500
    waiting: Annotated[Count, doc("Maximum messages that wait to be committed; further ones are rejected.")] = 20_000
    deadline: Annotated[
        Duration,
        doc(
            "Seconds within which a message must be committed after it arrives; otherwise the sender gets "
            "`unavailable`."
        ),
    ] = 5.0


class MessageSettings(Section, frozen=True):
    edit_window: Annotated[Seconds, doc("Seconds within which a message can be edited; 0 sets no limit.")] = 0.0
    edit_history: Annotated[
        Literal["members", "sender", "nobody"], doc("Who may read the earlier versions of an edited message.")
    ] = "members"
    edits: Annotated[Count, doc("Maximum edits of one message.")] = 50
    edits_per_minute: Annotated[Count, doc("Maximum edits of one message within a minute.")] = 10
    reactions: Annotated[
        Literal["many", "one"], doc("Whether a user may have many reactions to a message, or one.")
    ] = "many"
    receipts_up_to: Annotated[
        Count, doc("Largest group in which receipts are broadcast to the members; in larger groups clients query them.")
    ] = 500
    scheduled_per_user: Annotated[Count, doc("Maximum scheduled messages of one user.")] = 100


class ConversationLimits(Section, frozen=True):
    members: Annotated[Count, doc("Maximum members of a group.")] = 10_000
    conversations_per_user: Annotated[
        Count,
        doc("Maximum conversations of one user; beyond it the user can neither join nor be added to another one."),
    ] = 5_000
    bots_per_group: Annotated[Count, doc("Maximum bots in a group.")] = 20
    stars_per_user: Annotated[Count, doc("Maximum starred messages of one user.")] = 10_000
    labels_per_user: Annotated[Count, doc("Maximum different labels of one user.")] = 100
    blocks_per_user: Annotated[Count, doc("Maximum users that one user can block.")] = 10_000
    contacts_per_user: Annotated[Count, doc("Maximum users that one user can make contacts.")] = 10_000
    payload_bytes: Annotated[
        Count, doc("Maximum size of `meta`, `attachments` and `actions` of a message together, in bytes of JSON.")
    ] = 8192


class ConsentSettings(Section, frozen=True):
    default: Annotated[
        Literal["nobody", "contacts", "everybody"],
        doc(
            "Who needs no request to write first to a user, to add them to a group or to call them, if they have not "
            "chosen otherwise. Everybody suits the app of one company, contacts an app of strangers."
        ),
    ] = "everybody"
    messages: Annotated[Count, doc("Maximum messages of a direct conversation before the other user accepts it.")] = 3
    requests_per_day: Annotated[Count, doc("Maximum requests that a user may send within a day.")] = 50
    declines_to_halve: Annotated[
        Count, doc("Declined requests of a user, halved each week, that halve `requests_per_day`.")
    ] = 5
    pending_per_user: Annotated[
        Count, doc("Maximum requests that a user has not answered; further ones are refused.")
    ] = 1000


class RetentionSettings(Section, frozen=True):
    days: Annotated[
        int,
        Meta(ge=0, le=36_500),
        doc("Days that messages are kept; 0 keeps them forever. A conversation can set fewer, never more."),
    ] = 0


class TenantRetention(Section, frozen=True):
    retention_days: Annotated[
        int,
        Meta(ge=-1, le=36_500),
        doc("Days that messages are kept; 0 keeps them forever, -1 means as in [retention]."),
    ] = -1


class PresenceDefaults(Section, frozen=True):
    """The settings of presence that conversations need."""

    shown_to: Annotated[
        Literal["nobody", "contacts", "everybody"],
        doc("Who can see the presence of a user who has not chosen otherwise."),
    ] = "everybody"
    typing_members: Annotated[Count, doc("Largest conversation in which typing is broadcast.")] = 200


SETTINGS: tuple[Declaration, ...] = (
    Settings("messages", MessageSettings),
    Settings("limits", ConversationLimits),
    Settings("consent", ConsentSettings),
    Settings("retention", RetentionSettings),
    NamedSettings("tenants", TenantRetention),
    Settings("presence", PresenceDefaults),
    Settings("message_log", MessageLogSettings),
)
