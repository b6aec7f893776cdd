"""Settings of people."""

from typing import Annotated, Literal

from msgspec import field

from chatd.core.config import Count, Declaration, Section, Settings, doc

Editable = Literal["name", "handle", "avatar", "status_text", "profile", "locale", "time_zone"]
EDITABLE: tuple[Editable, ...] = ("name", "handle", "avatar", "status_text", "profile", "locale", "time_zone")
RESERVED = (
    *("admin", "administrator", "moderator", "mod", "owner", "root", "staff", "team", "operator"),
    *("support", "help", "helpdesk", "security", "abuse", "billing", "contact", "info", "official", "verified"),
    *("system", "server", "chatd", "bot", "everyone", "everybody", "all", "here", "channel", "anonymous"),
    *("deleted", "unknown", "null", "undefined", "nobody"),
)


class PeopleSettings(Section, frozen=True):
    editable: Annotated[
        list[Editable],
        doc("What users may change of their profile. Remove what your tokens contain, and users cannot change it."),
    ] = field(default_factory=lambda: list(EDITABLE))
    search: Annotated[
        Literal["off", "handles", "names"],
        doc("How users find each other: not at all, by the beginning of a handle, or also by that of a name."),
    ] = "handles"
    searches_per_minute: Annotated[Count, doc("Maximum searches for users per minute of one user, on each node.")] = 60
    reserved_handles: Annotated[
        list[str],
        doc("Handles that nobody may have, nor one that looks alike."),
    ] = field(default_factory=lambda: list(RESERVED))
    handle_changes: Annotated[Count, doc("How often a user may give up a handle within 30 days.")] = 3
    handle_hold_days: Annotated[
        Count, doc("Days for which nobody else can take a handle that a user has given up.")
    ] = 90
    announce_up_to: Annotated[
        Count, doc("Largest conversation whose members get `user.updated`; in larger ones clients query profiles.")
    ] = 500


SETTINGS: tuple[Declaration, ...] = (Settings("people", PeopleSettings),)
