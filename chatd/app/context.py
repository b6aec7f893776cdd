"""The context of a command handler: the node, and the user, backend or admin that has sent the command."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import trio
from msgspec import Struct, field

from chatd.app.audit_log import AuditActor
from chatd.app.encoding import AnswerWith
from chatd.app.rate_limits import ServiceLimits, UserLimits
from chatd.cluster.cluster import Cluster
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.health import Health
from chatd.core.identity import AdminScope, Principal, ServiceIdentity
from chatd.core.services import Services
from chatd.core.signals import Signals
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis
from chatd.realtime.hub import Hub
from chatd.wire.codec import JSON, Format

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """The kernel of this process. Services of subsystems are found in `services`, by their class."""

    config: Config
    health: Health
    db: Postgres
    redis: Redis
    hub: Hub
    cluster: Cluster
    services: Services
    signals: Signals
    clock: Callable[[], int]

    def get(self, kind: type[T]) -> T:
        """See `Services.get`."""
        return self.services.by_class[kind]  # type: ignore[no-any-return]


def no_session(_: Principal) -> None:
    """Refuse to renew a session: there is none."""
    raise Refused("bad_request", "this command needs a session")


class Ctx(Struct):
    """The context of one command. `session`: the session of this node that has sent it; "" for a request without one.
    `address` is that of the peer, for limits and never for identity. `service`: the command of a backend; with a
    `principal` as well, it acts for this user.
    """

    node: Node
    principal: Principal | None
    session: str
    address: str
    now: int
    answer: AnswerWith
    renew: Callable[[Principal], None] = no_session
    admin: AdminScope | None = None
    service: ServiceIdentity | None = None
    # When the command was read, in trio's time. Its deadline counts from here, and includes the wait for earlier
    # commands.
    began: float = field(default_factory=trio.current_time)
    # How the answer is encoded.
    format: Format = JSON
    # Over REST the answer does not wait for its place among the events of a session.
    is_request: bool = False
    # A session that the request names and this node does not have. Nothing but `origin` may use it: it is not checked,
    # and only its user knows its id.
    remote_session: str = ""
    # False for a command under id 0: a result is not encoded, and `answer` sends refusals only.
    wants_answer: bool = True

    @property
    def me(self) -> Principal:
        """The user that has sent the command. Only for commands that need a user."""
        if self.principal is None:
            raise Refused("unauthenticated")
        return self.principal

    @property
    def user(self) -> str:
        return self.me.user

    @property
    def origin(self) -> str:
        """The session that gets no event of the command, because it has the answer; "" for none."""
        return self.session or self.remote_session

    @property
    def user_or_empty(self) -> str:
        return self.principal.user if self.principal else ""

    def charge(self, cost: float) -> None:
        """Charge the user or the service token for this command. Raises Refused: `rate_limited`, `unauthenticated`."""
        if self.service is not None:
            self.node.get(ServiceLimits).charge(self.service.tenant, self.service.token, cost)
        else:
            self.node.get(UserLimits).charge(self.tenant, self.user, cost)

    @property
    def tenant(self) -> str:
        if self.principal:
            return self.principal.tenant
        identity = self.service or self.admin
        return identity.tenant if identity else ""

    @property
    def files_url(self) -> str:
        """The public URL of the HTTP side, for the addresses of files."""
        return self.node.config.http.public_url

    @property
    def admin_scope(self) -> AdminScope:
        """The admin that has sent the command. Only for commands of admins."""
        if self.admin is None:
            raise Refused("unauthenticated")
        return self.admin

    @property
    def service_identity(self) -> ServiceIdentity:
        """The service token of the command. Only for server commands."""
        if self.service is None:
            raise Refused("unauthenticated")
        return self.service

    @property
    def actor(self) -> AuditActor:
        """The backend or the admin, as an actor of the audit log."""
        if self.service is not None:
            return AuditActor(self.service.tenant, self.service.actor, self.now)
        return AuditActor(self.admin_scope.tenant, self.admin_scope.name, self.now)


def system_context(node: Node, tenant: str, user: str) -> Ctx:
    """Make the context of an act of the server on behalf of a user, without a command. No answer is sent."""
    principal = Principal(tenant, user, token_id="", login="", scope="", expires_at=0)
    return Ctx(node, principal, "", "", node.clock(), lambda _: None)
