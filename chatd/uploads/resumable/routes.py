"""The routes of tus, see `protocol`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestTimeout
from werkzeug.http import http_date

from chatd.app.context import Node
from chatd.app.rate_limits import UserLimits
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import is_uuid
from chatd.http.large_bodies import allow_large_bodies
from chatd.http.responses import HEADERS, refusal, refused_answer
from chatd.http.rest import identify, request_address
from chatd.http.slots import Owner, Owners
from chatd.uploads.admission import Slot, UploadSlots
from chatd.uploads.events import file_url
from chatd.uploads.multipart import pieces
from chatd.uploads.quotas import Payer
from chatd.uploads.resumable import service
from chatd.uploads.resumable.entities import Resumable
from chatd.uploads.resumable.protocol import (
    ALGORITHMS,
    BODY_TYPE,
    CHECKSUM_MISMATCH,
    EXTENSIONS,
    TUS_PATH,
    VERSION,
    checksum_of,
    whole_number,
)
from chatd.uploads.resumable.receiver import ChecksumMismatch, Receiver
from chatd.uploads.service import missing
from chatd.uploads.settings import UploadSettings

# The cost of a new upload, and of another request, in the user's token bucket of commands.
COST, REQUEST_COST = 5.0, 1.0
# Time to store what has arrived of a body, after its client is gone.
SAVE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Client:
    """The user of a request, the owner of its slot, and the user and address that pay."""

    who: Principal
    owner: Owner
    payer: Payer


Act = Callable[[Client], Awaitable[Response]]


class TusRoutes:
    """The views. `identify` comes first in each of them, then the version of the protocol."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._settings = node.config.get(UploadSettings)
        self._proxies = parse_networks(node.config.gateway.trusted_proxies)
        self._owners = Owners(node.config)

    async def options(self) -> Response:
        found = {
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(self._settings.max_bytes),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        }
        return answer(204, found)

    async def create(self) -> Response:
        return await self._answer(self._create, COST)

    async def head(self, upload: str) -> Response:
        async def act(client: Client) -> Response:
            return answer(200, described(await self._find(client, upload)))

        return await self._answer(act, REQUEST_COST)

    async def patch(self, upload: str) -> Response:
        async def act(client: Client) -> Response:
            if request.mimetype != BODY_TYPE:
                return marked(refusal("bad_request", f"the body must be {BODY_TYPE}", 415))
            offset = whole_number("Upload-Offset", request.headers.get("Upload-Offset"))
            found = await self._find(client, upload)
            if offset != found.received:
                raise Refused("conflict", f"Upload-Offset: this upload continues at {found.received}")
            end = found.received if found.is_done else await self._receive(client, found)
            return answer(204, {"Upload-Offset": str(end), "Upload-Expires": expiry(found)})

        return await self._answer(act, REQUEST_COST)

    async def delete(self, upload: str) -> Response:
        async def act(client: Client) -> Response:
            if (await self._find(client, upload)).is_done:
                raise Refused("conflict", "the upload is complete; delete it with `upload.delete`")
            await service.terminate(self._node, client.who, upload)
            return answer(204, {})

        return await self._answer(act, REQUEST_COST)

    async def _answer(self, act: Act, cost: float) -> Response:
        """The answer to a request, with the header that all answers have."""
        try:
            address = request_address(self._proxies)
            who = await identify(self._node, address)
            self._node.get(UserLimits).charge(who.tenant, who.user, cost)
            if request.headers.get("Tus-Resumable") != VERSION:
                refused = refusal("bad_request", f"Tus-Resumable: expected {VERSION}", 412, {"Tus-Version": VERSION})
                return marked(refused)
            owner = self._owners.of(who, address)
            return await act(Client(who, owner, Payer(self._node.config, who, owner.address)))
        except ChecksumMismatch:
            return marked(refusal("bad_request", "Upload-Checksum: the body is another one", CHECKSUM_MISMATCH))
        except Refused as refused:
            return marked(refused_answer(self._node, refused))

    async def _find(self, client: Client, upload: str) -> Resumable:
        if not is_uuid(upload):
            raise missing()
        return await service.find(self._node, client.who, upload)

    async def _create(self, client: Client) -> Response:
        length = whole_number("Upload-Length", request.headers.get("Upload-Length"))
        if length > self._settings.max_bytes:
            raise Refused("too_large", f"Upload-Length: expected at most {self._settings.max_bytes}")
        self._node.get(UploadSlots).count(client.who)
        metadata = request.headers.get("Upload-Metadata", "")
        node = self._node
        found = await service.create(node, client.who, client.payer, length, metadata, node.clock())
        end = 0
        if request.mimetype == BODY_TYPE or not length:
            end = await self._receive(client, found)
        place = file_url(node.config.http.public_url, f"tus/{found.id}")
        return answer(201, {"Location": place, "Upload-Offset": str(end), "Upload-Expires": expiry(found)})

    async def _receive(self, client: Client, upload: Resumable) -> int:
        """Receive the body of the request. Returns the position after it."""
        checksum = checksum_of(request.headers.get("Upload-Checksum"))
        with self._node.get(UploadSlots).reserve(client.owner) as slot:
            receiver = Receiver(self._node, upload, slot, checksum)
            try:
                await self._read_body(receiver)
                receiver.verify()
                await self._keep(client, upload, receiver, slot)
            except (Refused, ChecksumMismatch):
                await receiver.discard()
                raise
        return receiver.end

    async def _read_body(self, receiver: Receiver) -> None:
        """Read the body; what has arrived is stored also if it breaks off. Raises Refused, RequestTimeout."""
        try:
            with trio.move_on_after(self._settings.timeout) as timeout_scope:
                async for piece in pieces(request.body):
                    await receiver.feed(piece)
        except trio.Cancelled:
            # The client is gone.
            with trio.move_on_after(SAVE_TIMEOUT_S, shield=True):
                await receiver.save_interrupted()
            raise
        if timeout_scope.cancelled_caught:
            await receiver.save_interrupted()
            raise RequestTimeout

    async def _keep(self, client: Client, upload: Resumable, receiver: Receiver, slot: Slot) -> None:
        if receiver.is_complete:
            await service.complete(self._node, client.who, client.payer, client.owner, slot, upload, receiver)
        else:
            await receiver.save()


def add_routes(app: QuartTrio, node: Node) -> None:
    routes, most = TusRoutes(node), node.config.get(UploadSettings).max_bytes
    allow_large_bodies(app, "POST", TUS_PATH, most)
    allow_large_bodies(app, "PATCH", f"{TUS_PATH}/", most)
    one = f"{TUS_PATH}/<upload>"
    manual = {"provide_automatic_options": False}
    app.add_url_rule(TUS_PATH, "upload.tus.options", routes.options, methods=["OPTIONS"], **manual)
    app.add_url_rule(TUS_PATH, "upload.tus.create", routes.create, methods=["POST"], **manual)
    app.add_url_rule(one, "upload.tus.head", routes.head, methods=["HEAD"])
    app.add_url_rule(one, "upload.tus.append", routes.patch, methods=["PATCH"])
    app.add_url_rule(one, "upload.tus.delete", routes.delete, methods=["DELETE"])


def described(upload: Resumable) -> dict[str, str]:
    found = {
        "Upload-Offset": str(upload.received),
        "Upload-Length": str(upload.length),
        "Upload-Expires": expiry(upload),
    }
    return {**found, "Upload-Metadata": upload.metadata} if upload.metadata else found


def expiry(upload: Resumable) -> str:
    return http_date(upload.expires_at / 1000)


def answer(status: int, headers: dict[str, str]) -> Response:
    return marked(Response("", status=status, headers={**HEADERS, **headers}))


def marked(response: Response) -> Response:
    """All answers have the version, also refusals."""
    response.headers["Tus-Resumable"] = VERSION
    return response
