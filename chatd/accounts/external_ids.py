"""External ids: how a backend names users by ids of its own.

The subject of a token (`sub`) is either the id of a user, in the form of a UUID, or any other text: the external id of
the user. An external id is stored as it is, and the user id is a UUIDv5 (RFC 9562, section 5.5) of the tenant and of
the external id. So each node, and the backend itself, computes the user id without a look-up, and no two sources give
one user two ids.

Texts are compared by their bytes. `Ann`, `ann` and an `ann` with a Cyrillic letter are three users, because identity
providers compare subjects in this way (OpenID Connect Core 1.0, section 2).
"""

import re
from functools import lru_cache
from uuid import UUID, uuid5

from chatd.core.ids import NIL, is_uuid

# Never changes: with another one, external ids would be the ids of other users.
NAMESPACE = UUID("6f0d2c1e-5a7b-4c43-9f1d-8e2b7a90c3d4")
MAX_EXTERNAL_ID_BYTES = 255
# Postgres stores no NUL, and JSON can contain halves of characters.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
MAX_TENANTS = 1000


def user_id_of(tenant: str, sub: str) -> str:
    """The id of the user with this subject: the subject in lower case if it is a UUID, else a UUIDv5.

    Raises ValueError for a text that can be neither: see `check_subject`.
    """
    check_subject(sub)
    lower = sub.lower()
    return lower if is_uuid(lower) else str(uuid5(tenant_namespace(tenant), sub))


def external_id_of(sub: str) -> str | None:
    """The external id in a subject; None if the subject is a user id."""
    return None if is_uuid(sub.lower()) else sub


def external_login_id(user: str, session: str) -> str:
    """The id of the login of a user that is a session at an identity provider."""
    return str(uuid5(UUID(user), f"login {session}"))


def check_subject(sub: str) -> None:
    """Check that a text can be a subject. Raises ValueError, with a text that follows the name of the field."""
    if not sub:
        raise ValueError("is empty")
    if UNSTORABLE.search(sub):
        raise ValueError("has a character that is not allowed")
    if len(sub.encode()) > MAX_EXTERNAL_ID_BYTES:
        raise ValueError(f"has more than {MAX_EXTERNAL_ID_BYTES} bytes")
    if sub == NIL:
        raise ValueError("is the nil UUID, which is no user")


@lru_cache(maxsize=MAX_TENANTS)
def tenant_namespace(tenant: str) -> UUID:
    """The namespace of the external ids of a tenant."""
    return uuid5(NAMESPACE, tenant)
