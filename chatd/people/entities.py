"""Profiles of users on the wire."""

from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from chatd.db.postgres import Row
from chatd.wire.base import Id
from chatd.wire.reference.examples import BOB, Example

Profile = dict[str, Any]


class User(Struct, kw_only=True, frozen=True):
    """A user. `profile_version` grows with each change: keep the profile with the highest one.

    `avatar`: an uploaded image; `picture_url`: the picture that the tokens of the app's backend name. In a match, `id`
    is the alias and only `name` is known. `status_text` and `profile` are absent in events and in results of a search.
    `deleted`: the account was deleted; else absent. `bot`: a program; absent for people. The fields after it are in the
    user's own profile only; `external_id` and `roles` are from the tokens of the app's backend.
    """

    id: Id
    name: str | None
    handle: str | None
    avatar: Id | None
    picture_url: str | None
    profile_version: int
    status_text: str | UnsetType | None = UNSET
    profile: Profile | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET
    bot: bool | UnsetType = UNSET
    locale: str | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    external_id: str | UnsetType | None = UNSET
    roles: list[str] | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(
        id=BOB, handle="bob", picture_url="https://example.org/bob.jpg", profile={"team": "red"}
    )


CARD = ("id", "name", "handle", "avatar", "picture_url", "profile_version")


def card_fields(row: Row) -> dict[str, Any]:
    return {**{name: row[name] for name in CARD}, "bot": row["bot"] or UNSET}


def card_of(row: Row) -> User:
    """What everyone who shares a conversation with the user can see, blocks or not."""
    return User(**card_fields(row))


def user_of(row: Row) -> User:
    """A user as another user sees them. Nobody sees the status and the profile of a user who has blocked them."""
    hidden, deleted = row["is_blocked"], row["is_deleted"] or UNSET
    return User(
        **card_fields(row),
        status_text=None if hidden else row["status_text"],
        profile={} if hidden else row["profile"] or {},
        deleted=deleted,
    )


def own_user_of(row: Row) -> User:
    """The user's own profile."""
    more = {name: row[name] for name in ("status_text", "locale", "time_zone", "external_id", "roles")}
    return User(**card_fields(row), **more, profile=row["profile"] or {})


def stranger(alias: str, name: str | None) -> User:
    """A member of a running match, as the others see them."""
    return User(id=alias, name=name, handle=None, avatar=None, picture_url=None, profile_version=0)
