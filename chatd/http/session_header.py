"""The header `Chatd-Session`: the session that a REST command belongs to.

The session gets no event of the command, because its client has the answer. Commands that change a session, such as
`presence.watch`, need it. If another node has the session, they run there (`RemoteSessions`).
"""

from quart import request

from chatd.app.context import Node
from chatd.app.encoding import Answer
from chatd.app.registry import Row
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import is_uuid
from chatd.realtime.sessions import Session
from chatd.wire.base import Command

HEADER = "Chatd-Session"
NEEDED = f"this command needs a session: send the `session` of `connected` in the header {HEADER}"


class RemoteSessions:
    """Runs commands on the nodes that have the sessions. Found in `Node.services`."""

    async def run(self, session: str, principal: Principal, address: str, command: Command) -> Answer:
        """The answer of the command, or its refusal. Raises Refused: `not_found` if no node has the session."""
        raise NotImplementedError


def named_session(node: Node, principal: Principal | None) -> tuple[Session | None, str]:
    """The session of this node that the request names; or the name of one that this node does not have, "" for none.

    Raises Refused: `bad_request`, also for the session of another user.
    """
    name = request.headers.get(HEADER, "") if principal is not None else ""
    if not name or principal is None:
        return None, ""
    if not is_uuid(name):
        raise Refused("bad_request", f"{HEADER}: expected the id of a session")
    session = node.hub.connections.by_id.get(name)
    if session is None:
        return None, name
    if (session.tenant, session.user) != (principal.tenant, principal.user):
        raise Refused("bad_request", f"{HEADER}: not a session of this user")
    return session, ""


async def run_remotely(node: Node, row: Row, session: str, principal: Principal, address: str, cmd: Command) -> Answer:
    """Run a command that changes a session of another node. Raises Refused."""
    remote = node.services.find(RemoteSessions)
    if not session:
        raise Refused("bad_request", NEEDED)
    if remote is None:
        raise Refused("not_found", f"{row.tag}: no such session")
    return await remote.run(session, principal, address, cmd)
