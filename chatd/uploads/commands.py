"""Removal of an upload. Uploading and downloading are HTTP requests, see `chatd.uploads.routes`."""

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import command
from chatd.uploads import service
from chatd.wire.base import Command, Id, Ok


class UploadDelete(Command, tag="upload.delete"):
    """Delete one of your files, in all conversations that use it."""

    upload: Id


@command(UploadDelete, result=Ok, refuses=("not_found",), http="DELETE /v1/uploads/{upload}")
async def upload_delete(ctx: Ctx, cmd: UploadDelete) -> Effects:
    await service.remove(ctx.node, ctx.me, cmd.upload, ctx.now)
    return [Reply(Ok())]
