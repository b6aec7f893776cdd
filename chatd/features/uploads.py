"""Taking an upload away. Storing and reading one are requests of their own: see `chatd.http.uploads`."""

from chatd.node import uploads
from chatd.node.context import Ctx
from chatd.node.effects import Effects, Reply
from chatd.node.registry import command
from chatd.wire.messages import Command, Id, Ok


class UploadDelete(Command, tag="upload.delete"):
    """Remove a file of one's own, from every conversation that it is used in."""

    upload: Id


@command(UploadDelete, result=Ok, refuses=("not_found",), http="DELETE /v1/uploads/{upload}")
async def upload_delete(ctx: Ctx, cmd: UploadDelete) -> Effects:
    await uploads.remove(ctx.node, ctx.me, cmd.upload, ctx.now)
    return [Reply(Ok())]
