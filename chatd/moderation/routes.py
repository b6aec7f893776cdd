"""The admin route for the files of a report: its picture, and attachments of messages in its transcript."""

from typing import cast

from quart import Response, g
from quart_trio import QuartTrio

from chatd.app.audit_log import AuditActor
from chatd.app.context import Node
from chatd.core.errors import Refused
from chatd.http.admin import View, add_route, reader_of
from chatd.http.admin_tokens import Admins
from chatd.http.responses import refused_answer
from chatd.http.slots import Owners
from chatd.moderation.reports import find_file
from chatd.uploads.downloads import OWN_CACHE, answer
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Id

PATH = "/admin/report/file"


class OpenReportFile(AdminCommand, tag="admin.report.file"):
    """Get a file of a report: its picture, or an attachment of a message in it.

    The response is the content of the file, as for `GET /v1/uploads/{upload}`. The access is recorded in the audit log.
    """

    report: Id
    upload: Id


def add_routes(app: QuartTrio, node: Node) -> None:
    if node.config.admins:
        add_route(app, PATH, "admin.report.file", open_file(node))


def open_file(node: Node) -> View:
    """The view, which answers with bytes instead of the result of a command."""
    read, owners = reader_of(OpenReportFile, node, node.get(Admins)), Owners(node.config)

    async def view() -> Response:
        try:
            command, admin, address = await read()
            admin.require("moderator")
            request_fields = cast(OpenReportFile, command)
            g.reader = owners.of_admin(admin.name, address)
            actor = AuditActor(admin.tenant, admin.name, node.clock())
            return await answer(
                node,
                await node.db.in_transaction(find_file, actor, request_fields.report, request_fields.upload),
                OWN_CACHE,
            )
        except Refused as refused:
            return refused_answer(node, refused)

    return view
