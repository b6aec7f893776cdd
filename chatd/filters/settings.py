"""Settings of the filters and the moderation hook."""

from typing import Annotated, Literal

from msgspec import field

from chatd.core.config import SECRET, Count, Declaration, Duration, NamedSettings, Section, Settings, WebAddress, doc


class FilterSettings(Section, frozen=True):
    words: Annotated[list[str], doc("Unwanted words and phrases; docs/filters.md lists the spellings that match.")] = (
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


TENANT_FILTERS = """\
# Filters for one tenant, which replace [filters] for it:
# [tenant_filters.acme]
# links = "none"
"""
SETTINGS: tuple[Declaration, ...] = (
    Settings("filters", FilterSettings),
    NamedSettings("tenant_filters", FilterSettings, TENANT_FILTERS),
    Settings("hook", HookSettings),
)
