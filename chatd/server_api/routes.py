"""GET /v1/server/users/{user}/export, the export of a user for the backend, and the size of large requests."""

from quart import Response
from quart_trio import QuartTrio

from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.app.context import Node
from chatd.app.rate_limits import ServiceLimits
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.core.ids import is_uuid
from chatd.http.large_bodies import allow_large_bodies
from chatd.http.responses import refused_answer
from chatd.http.rest import request_address
from chatd.http.server_commands import identify_service
from chatd.http.slots import Owners
from chatd.privacy.routes import Exports

COST = 20
SCOPE = "read"
# About 500 bytes for each of 1,000 users, or 10,000 members of a group. More would take longer to decode than one turn
# of the event loop may.
MAX_BULK_BYTES = 524_288


def add_routes(app: QuartTrio, node: Node) -> None:
    proxies, owners = parse_networks(node.config.gateway.trusted_proxies), Owners(node.config)
    for path in ("/v1/server/users/batch", "/v1/server/conversations"):
        allow_large_bodies(app, "POST", path, max(MAX_BULK_BYTES, node.config.http.max_body_bytes))

    @app.get("/v1/server/users/<user>/export", endpoint="server.user.export")
    async def export_user(user: str) -> Response:
        try:
            address = request_address(proxies)
            service = await identify_service(node, address)
            if SCOPE not in service.scopes:
                raise Refused("forbidden", f"this service token does not have the scope {SCOPE}")
            node.get(ServiceLimits).charge(service.tenant, service.token, COST)
            if not is_uuid(user):
                raise Refused("bad_request", "$.user: not a valid id")
            exports = node.get(Exports)
            exports.reserve(owners.of_service(service.token, address))
            response = await exports.begin(service.tenant, user)
            actor = AuditActor(service.tenant, service.actor, node.clock())
            await audit_log.write(node.db, actor, "user.export", user)
            return response
        except Refused as refused:
            return refused_answer(node, refused)
