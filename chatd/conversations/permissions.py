"""Who may do what in a conversation: a table of rights by role, and who stands above whom. Pure.

In a direct conversation and in a match both are equal, and may do what concerns both. Whoever acts on another member (removes
them, changes their role) has to stand above them; an owner is made only by handing over.
"""

from enum import Enum

OWNER, ADMIN, MODERATOR, MEMBER = ROLES = ("owner", "admin", "moderator", "member")


class Right(Enum):
    """What somebody may do. Writing, reading and leaving need no right but membership."""

    ANNOUNCE = "write where only announcements are allowed"
    MENTION_ALL = "mention everybody"
    PIN = "pin messages"
    DELETE_ANY = "delete messages of others"
    SLOW_EXEMPT = "write without waiting in slow mode"
    ADD = "add members, approve requests and make invite links"
    REMOVE = "remove members below the own role"
    INFO = "change title, description and picture"
    RULES = "change who may write, who may join, slow mode, disappearing messages and how long messages are kept"
    ROLES = "change roles below the own one"
    OWN = "hand over the group and dissolve it"


RIGHTS: dict[str, frozenset[Right]] = {
    OWNER: frozenset(Right),
    ADMIN: frozenset(Right) - {Right.OWN},
    MODERATOR: frozenset({Right.ANNOUNCE, Right.MENTION_ALL, Right.PIN, Right.DELETE_ANY, Right.SLOW_EXEMPT, Right.REMOVE}),
    MEMBER: frozenset(),
}
# Of two who are equal.
AMONG_EQUALS = frozenset({Right.PIN, Right.RULES})


def may(kind: str, role: str, right: Right) -> bool:
    """Whether a member of this role has the right in a conversation of this kind."""
    return right in (RIGHTS[role] if kind == "group" else AMONG_EQUALS)


def stands_above(role: str, other: str) -> bool:
    """Whether one may act on the other."""
    return ROLES.index(role) < ROLES.index(other)


def may_give(role: str, before: str, after: str) -> bool:
    """Whether somebody of `role` may change another member's role from `before` to `after`."""
    return may("group", role, Right.ROLES) and stands_above(role, before) and stands_above(role, after)
