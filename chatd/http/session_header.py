"""The header `Chatd-Session`: the session that a REST command belongs to.

The session gets no event of the command, because its client has the answer. Commands that change a session, such as
`presence.watch`, need it. If another node has the session, they run there (`RemoteSessions`).
"""

from dataclasses import replace

from quart import request

from chatd.app.context import Ctx, Node
from chatd.app.effects import Effects, Reply
from chatd.app.registry import Row
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import is_uuid
from chatd.realtime.sessions import Session
from chatd.wire.base import Command, Result

HEADER = "Chatd-Session"
NEEDED = f"this command needs a session: send the `session` of `connected` in the header {HEADER}"


class RemoteSessions:
    """Runs commands on the nodes that have the sessions. Found in `Node.services`."""

    async def run(self, session: str, principal: Principal, address: str, command: Command) -> Result:
        """The result of the command. Raises Refused: as the command does; `not_found` if no node has the session."""
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


def run_elsewhere(row: Row) -> Row:
    """A command that changes a session, for requests to a node that does not have it. This node checks and charges it
    as any other, before another one is asked.
    """
    return replace(row, handler=run_remotely)


async def run_remotely(ctx: Ctx, cmd: Command) -> Effects:
    """Run a command on the node that has its session."""
    if not ctx.remote_session:
        raise Refused("bad_request", NEEDED)
    remote = ctx.node.services.find(RemoteSessions)
    if remote is None:
        raise Refused("not_found", "no such session")
    return [Reply(await remote.run(ctx.remote_session, ctx.me, ctx.address, cmd))]
