"""Settings of conversations."""

from typing import Annotated, Literal

from msgspec import Meta, field

from chatd.core.config import (
    SECRET,
    Count,
    Declaration,
    Duration,
    NamedSettings,
    Seconds,
    Section,
    Settings,
    WebAddress,
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


class FilterSettings(Section, frozen=True):
    words: Annotated[list[str], doc("Unwanted words and phrases; docs/filters.md says which spellings are found.")] = (
        field(default_factory=list)
    )
    words_file: Annotated[str, doc("File of words, one per line, instead of words.")] = ""
    action: Annotated[
        Literal["reject", "mask"],
        doc("What to do when one is found: reject the message, or mask the word with asterisks."),
    ] = "reject"
    links: Annotated[
        Literal["any", "none", "listed"],
        doc("Links allowed in texts: any, none, or listed (only those to link_hosts)."),
    ] = "any"
    link_hosts: Annotated[list[str], doc("Hosts that links may point to, with their subdomains.")] = field(
        default_factory=list
    )
    links_denied: Annotated[list[str], doc("Hosts that no link may point to.")] = field(default_factory=list)


class HookSettings(Section, frozen=True):
    url: Annotated[
        WebAddress,
        SECRET,
        doc("URL of the moderation hook, called before each message is stored; empty switches it off."),
    ] = ""
    secret: Annotated[str, SECRET, doc("Key that signs each request to the hook, at least 32 bytes.")] = ""
    secret_file: Annotated[str, doc("File that contains the secret, instead of secret.")] = ""
    timeout: Annotated[Duration, doc("Timeout of the hook, in seconds.")] = 1.0
    on_failure: Annotated[
        Literal["allow", "reject"],
        doc("What to do when the hook fails: allow stores the message, reject answers `unavailable`."),
    ] = "reject"
    allow_private: Annotated[bool, doc("Allow the hook to be on a private address, and to use http without TLS.")] = (
        False
    )
    max_waiting: Annotated[
        Count, doc("Maximum messages that wait for the hook; for further ones the hook counts as failed.")
    ] = 100


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
    stars_per_user: Annotated[Count, doc("Maximum starred messages of one user.")] = 10_000
    blocks_per_user: Annotated[Count, doc("Maximum users that one user can block.")] = 10_000
    payload_bytes: Annotated[
        Count, doc("Maximum size of `meta` and `attachments` of a message together, in bytes of JSON.")
    ] = 8192


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


TENANT_FILTERS = """\
# Filters for one tenant, which replace [filters] for it:
# [tenant_filters.acme]
# links = "none"
"""
SETTINGS: tuple[Declaration, ...] = (
    Settings("messages", MessageSettings),
    Settings("limits", ConversationLimits),
    Settings("retention", RetentionSettings),
    NamedSettings("tenants", TenantRetention),
    Settings("presence", PresenceDefaults),
    Settings("filters", FilterSettings),
    NamedSettings("tenant_filters", FilterSettings, TENANT_FILTERS),
    Settings("hook", HookSettings),
    Settings("message_log", MessageLogSettings),
)
