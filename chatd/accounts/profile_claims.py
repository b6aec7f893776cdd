"""The claims of a backend's token that are stored with the user: name, picture, locale, roles. Pure.

The settings name the claims. These are the rules:

* A claim that is null or an empty text is absent.
* A name, picture or locale that does not fit is ignored as a whole. Roles decide rights: a token whose roles do not fit
  is refused.
* A claim is stored when it differs from the one that was taken last. So a user who changes the name in the app keeps
  it until the backend changes it too, and a sign-in with known claims writes nothing.
* An absent name, picture or locale changes nothing. Absent roles are no roles, because some providers omit the claim
  of a user without roles; users who never had roles by a claim keep those that the backend gave them otherwise.
* A token that was issued before the one whose claims are stored changes nothing.

Each claim is compared by a hash of 8 bytes. The column `claims` has one for each of `COMPARED`, zeros for an absent
claim.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from chatd.accounts.external_ids import UNSTORABLE
from chatd.core.identity import ProfileClaims

MAX_NAME, MAX_PICTURE_URL, MAX_LOCALE, MAX_ROLES, MAX_ROLE = 100, 2048, 35, 100, 255
LOCALE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")
PICTURE_URL = re.compile(r"https?://[!-~]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
COMPARED = ("external_id", "name", "picture_url", "locale", "roles")
HASH_BYTES = 8
ABSENT = bytes(HASH_BYTES)
NO_HASHES = ABSENT * len(COMPARED)


class ClaimNames(Struct, frozen=True):
    """The names of the claims of a tenant; "" for one that is not taken."""

    name: str
    picture: str
    locale: str
    roles: str


class NewProfile(Struct, frozen=True):
    """What a sign-in changes in the row of the user; None for what stays. `claims`: the new hashes."""

    external_id: str | None
    name: str | None
    picture_url: str | None
    locale: str | None
    roles: Sequence[str] | None
    claims: bytes | None
    claims_at: int | None


def find(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of this name, or at this path: `realm_access.roles` is `roles` in `realm_access`. None if absent."""
    if not name or name in claims:
        return claims[name] if name else None
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def read_profile(
    claims: Mapping[str, Any], names: ClaimNames, external_id: str | None, issued_at: int
) -> ProfileClaims:
    """The claims to store. `issued_at` in milliseconds. Raises ValueError for roles that do not fit."""
    name = text_of(find(claims, names.name), MAX_NAME)
    picture = text_of(find(claims, names.picture), MAX_PICTURE_URL)
    locale = text_of(find(claims, names.locale), MAX_LOCALE)
    roles = roles_of(find(claims, names.roles), names.roles)
    if picture is not None and not PICTURE_URL.fullmatch(picture):
        picture = None
    locale = locale.replace("_", "-") if locale is not None and LOCALE.fullmatch(locale) else None
    listed = None if roles is None else "\0".join(sorted(roles))
    hashes = b"".join(hash_of(value) for value in (external_id, name, picture, locale, listed))
    return ProfileClaims(name, picture, locale, roles, issued_at, hashes)


def text_of(value: Any, max_length: int) -> str | None:
    """The text of a claim in one line. None if it is absent or does not fit."""
    if not isinstance(value, str) or UNSTORABLE.search(value) or CONTROL.search(value):
        return None
    text = value.strip()
    return text if 1 <= len(text) <= max_length else None


def roles_of(value: Any, name: str) -> tuple[str, ...] | None:
    """The roles of a claim, without repetitions: a list of texts, or one text. Raises ValueError."""
    if value is None or value == "":
        return None
    roles = [value] if isinstance(value, str) else value
    if not isinstance(roles, list) or len(roles) > MAX_ROLES:
        raise ValueError(f"{name} is not a list of at most {MAX_ROLES} roles")
    for role in roles:
        if not isinstance(role, str) or not 1 <= len(role) <= MAX_ROLE or UNSTORABLE.search(role):
            raise ValueError(f"{name} has a role that is not a text of 1 to {MAX_ROLE} characters")
    return tuple(dict.fromkeys(roles)) or None


def hash_of(value: str | None) -> bytes:
    return ABSENT if value is None else blake2b(value.encode(), digest_size=HASH_BYTES).digest()


def new_profile(
    taken: ProfileClaims | None, external_id: str | None, stored: bytes | None, stored_at: int | None
) -> NewProfile | None:
    """What a sign-in with these claims changes in a row with the hashes `stored`, taken from a token issued at
    `stored_at`. None if nothing changes.
    """
    old = stored or NO_HASHES
    if taken is None or taken.hashes == old or (stored_at is not None and taken.issued_at < stored_at):
        return None
    values = (external_id, taken.name, taken.picture_url, taken.locale, taken.roles or ())
    changed, hashes = dict[str, Any](), bytearray(old)
    for number, (name, value) in enumerate(zip(COMPARED, values, strict=True)):
        part = slice(number * HASH_BYTES, (number + 1) * HASH_BYTES)
        differs = taken.hashes[part] != old[part] and (name == "roles" or taken.hashes[part] != ABSENT)
        changed[name] = value if differs else None
        if differs:
            hashes[part] = taken.hashes[part]
    return NewProfile(**changed, claims=bytes(hashes), claims_at=taken.issued_at) if hashes != old else None
