"""Removal and signed URLs of uploads. Uploading and downloading are HTTP requests, see `chatd.uploads.routes`."""

from typing import Annotated

from msgspec import Meta

from chatd.accounts.signals import ProfileChanged
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, SendSignal
from chatd.app.registry import command
from chatd.uploads import service
from chatd.uploads.events import SignedUrls, Upload
from chatd.wire.base import Command, Id, Ok

MAX_SIGNED = 100


class UploadInfo(Command, tag="upload.info"):
    """Get the description of an upload that you can download."""

    upload: Id


class UploadSign(Command, tag="upload.sign"):
    """Get URLs that a browser can open without a token, such as in an `<img>`, for uploads that you can download.

    Uploads that you cannot download are left out. Everybody who has a URL can use it until it expires, or until the
    file is removed; then ask again.
    """

    uploads: Annotated[list[Id], Meta(min_length=1, max_length=MAX_SIGNED)]


class UploadDelete(Command, tag="upload.delete"):
    """Delete one of your files, in all conversations that use it."""

    upload: Id


@command(UploadDelete, result=Ok, refuses=("not_found",), http="DELETE /v1/uploads/{upload}")
async def upload_delete(ctx: Ctx, cmd: UploadDelete) -> Effects:
    was_avatar = await service.remove(ctx.node, ctx.me, cmd.upload, ctx.now)
    return [Reply(Ok()), *([SendSignal(ProfileChanged(ctx.tenant, ctx.user))] if was_avatar else [])]


@command(UploadInfo, result=Upload, refuses=("not_found",), http="GET /v1/uploads/{upload}/info")
async def upload_info(ctx: Ctx, cmd: UploadInfo) -> Effects:
    return [Reply(service.upload_from(ctx.node, await service.find(ctx.node, ctx.me, cmd.upload)))]


@command(UploadSign, result=SignedUrls, refuses=("not_found",), http="POST /v1/uploads/sign")
async def upload_sign(ctx: Ctx, cmd: UploadSign) -> Effects:
    """`not_found`: you can download none of them."""
    return [Reply(await service.signed(ctx.node, ctx.me, cmd.uploads, ctx.now))]
