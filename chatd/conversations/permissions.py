"""Permissions in conversations: a table of rights by role, and the order of roles. Pure.

In a direct conversation and in a match the two are equal, and have the rights that concern both. To act on another
member (remove them, change their role), the role must be above theirs; a member becomes the owner only by handing over.
"""

from enum import Enum

OWNER, ADMIN, MODERATOR, MEMBER = ROLES = ("owner", "admin", "moderator", "member")


class Right(Enum):
    """What a member may do. Writing, reading and leaving need membership only."""

    ANNOUNCE = "write where only announcements are allowed"
    MENTION_ALL = "mention everybody"
    PIN = "pin messages"
    DELETE_ANY = "delete messages of others"
    CLOSE_POLLS = "close polls of others"
    SLOW_EXEMPT = "write without waiting in slow mode"
    ADD = "add members, approve requests and create invite links"
    ADD_BOTS = "add bots"
    REMOVE = "remove members with a lower role"
    INFO = "change title, description and picture"
    RULES = "change who may write, who may join, slow mode, disappearing messages and how long messages are kept"
    ROLES = "change roles below their own"
    OWN = "transfer the group and dissolve it"


RIGHTS: dict[str, frozenset[Right]] = {
    OWNER: frozenset(Right),
    ADMIN: frozenset(Right) - {Right.OWN},
    MODERATOR: frozenset(
        {
            *(Right.ANNOUNCE, Right.MENTION_ALL, Right.PIN, Right.DELETE_ANY, Right.CLOSE_POLLS),
            *(Right.SLOW_EXEMPT, Right.REMOVE, Right.ADD_BOTS),
        }
    ),
    MEMBER: frozenset(),
}
# Of the members of a direct conversation or a match.
AMONG_EQUALS = frozenset({Right.PIN, Right.RULES})


def may(kind: str, role: str, right: Right) -> bool:
    """Whether a member with this role has the right in a conversation of this kind."""
    return right in (RIGHTS[role] if kind == "group" else AMONG_EQUALS)


def stands_above(role: str, other: str) -> bool:
    """Whether a member with `role` may act on one with `other`."""
    return ROLES.index(role) < ROLES.index(other)


def may_give(role: str, before: str, after: str) -> bool:
    """Whether a member with `role` may change the role of another member from `before` to `after`."""
    return may("group", role, Right.ROLES) and stands_above(role, before) and stands_above(role, after)
