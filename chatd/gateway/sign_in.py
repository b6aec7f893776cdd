"""What every new session passes, whatever its transport: the choice of the credential, limits of the user, sign-in."""

from collections.abc import Mapping

import trio

from chatd.accounts.authentication import SignIn
from chatd.accounts.settings import AuthSettings
from chatd.app.context import Node
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.gateway.penalties import Penalties
from chatd.realtime.pending_session import PendingSession


async def identify_peer(node: Node, address: str, bearer: str | None, query: Mapping[str, str]) -> Principal:
    """The user of the first credential that is present: `bearer`, `?token=` if it is enabled, `?ticket=`.

    Raises Refused: `unauthenticated`, `rate_limited`.
    """
    token, ticket, in_query = bearer, query.get("ticket"), query.get("token")
    if token is None and in_query is not None:
        if node.config.get(AuthSettings).query_token:
            token = in_query
        elif ticket is None:
            raise Refused(
                "unauthenticated",
                "`?token=` is disabled (auth.query_token); use a header, a subprotocol or `?ticket=`",
            )
    return await node.get(SignIn).principal(address, token=token, ticket=ticket, now=node.clock())


async def enter(node: Node, principal: Principal, address: str) -> PendingSession:
    """Check the limits and bans of the user, and load the state of a new session.

    Raises Refused: `rate_limited`, `banned`, `unauthenticated`.
    """
    penalty_s = node.get(Penalties).left((principal.tenant, principal.user), trio.current_time())
    if penalty_s:
        raise Refused("rate_limited", "one of your connections was closed for flooding", retry_after=penalty_s)
    connections = node.hub.connections
    if connections.count(principal.tenant, principal.user) >= node.config.limits.sessions_per_user:
        raise Refused("rate_limited", "too many connections of this user", retry_after=30)
    pending = connections.pending.begin(principal.tenant, principal.user)
    await node.get(SignIn).enter(principal, address, node.clock(), pending)
    return pending
