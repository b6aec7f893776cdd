"""The HTTP route of uploads by a form. The others are in `downloads` and `resumable`."""

import trio
from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestTimeout

from chatd.app.command_texts import stored_text
from chatd.app.context import Node
from chatd.app.rate_limits import UserLimits
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.turns import in_turns
from chatd.http.large_bodies import allow_large_bodies
from chatd.http.responses import json_response, refused_answer
from chatd.http.rest import identify, request_address
from chatd.http.slots import Owner, Owners
from chatd.uploads import service
from chatd.uploads.admission import UploadSlots
from chatd.uploads.content import prepared
from chatd.uploads.events import PATH, Upload
from chatd.uploads.file_names import label
from chatd.uploads.multipart import MAX_FORM_OVERHEAD_BYTES, read_file
from chatd.uploads.quotas import Payer, check_quota
from chatd.uploads.settings import UploadSettings
from chatd.wire.texts import TextKind

# The cost of an upload in the user's token bucket of commands.
COST = 5.0


def add_routes(app: QuartTrio, node: Node) -> None:
    """Add the POST route; deletion is a command."""
    settings = node.config.get(UploadSettings)
    proxies, owners = parse_networks(node.config.gateway.trusted_proxies), Owners(node.config)
    allow_large_bodies(app, "POST", PATH, settings.max_bytes + MAX_FORM_OVERHEAD_BYTES)

    @app.post(PATH, endpoint="upload.create")
    async def create() -> Response:
        try:
            address = request_address(proxies)
            principal = await identify(node, address)
            node.get(UserLimits).charge(principal.tenant, principal.user, COST)
            return json_response(await receive(node, principal, owners.of(principal, address)))
        except Refused as refused:
            return refused_answer(node, refused)


async def receive(node: Node, principal: Principal, owner: Owner) -> Upload:
    """Receive a file. Raises Refused, and the exceptions that Quart answers with 408 and 413."""
    settings, slots = node.config.get(UploadSettings), node.get(UploadSlots)
    slots.count(principal)
    with slots.reserve(owner) as slot:
        payer = Payer(node.config, principal, owner.address)
        await check_quota(node, payer, node.clock())
        with trio.move_on_after(settings.timeout) as timeout_scope:
            received = await read_file(settings.max_bytes, slot.reserve_bytes)
        if timeout_scope.cancelled_caught:
            raise RequestTimeout
        async with slots.decoding(owner):
            content = await prepared(node, principal, received.data)
        name = label(received.name)
        if name is not None:
            name = await in_turns(stored_text(node, principal.tenant, TextKind.NAME, name, "$.file"))
        return await service.keep(node, payer, service.new_upload(principal, content, name, node.clock()))
