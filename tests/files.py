"""Files for the tests of uploads, and forms to send them."""

from io import BytesIO
from typing import Any

from PIL import Image

from tests.support import Answer, Daemon

BOUNDARY = "boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(range(256)) * 20
PDF = b"%PDF-1.7\n" + b"x" * 500


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any) -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(out, kind, **options)
    return out.getvalue()


def film(kind: str = "GIF", frames: int = 5, size: tuple[int, int] = (20, 20), mode: str = "RGB") -> bytes:
    """An animation of different frames."""
    out = BytesIO()
    gradient = Image.linear_gradient("L").resize(size)
    made = [Image.eval(gradient, lambda value, n=n: (value + 40 * n) % 256).convert(mode) for n in range(frames)]
    made[0].save(out, kind, save_all=True, append_images=made[1:], duration=40, loop=0, lossless=True)
    return out.getvalue()


def part(data: bytes, name: str | None = "cat.png", field: str = "file", headers: bytes = b"") -> bytes:
    filename = b"" if name is None else b'; filename="' + name.encode() + b'"'
    head = b'Content-Disposition: form-data; name="' + field.encode() + b'"' + filename
    return b"--boundary\r\n" + head + b"\r\n" + headers + b"\r\n" + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--boundary--\r\n"


async def upload(daemon: Daemon, token: str, data: bytes, name: str | None = "cat.png", field: str = "file") -> Answer:
    return await daemon.rest("POST", "/v1/uploads", form(part(data, name, field)), token, Content_Type=FORM)


async def stored(daemon: Daemon, token: str, data: bytes, name: str | None = "cat.png") -> dict[str, Any]:
    """The server's description of a file that it stored."""
    answer = await upload(daemon, token, data, name)
    assert answer.status == 200, answer.body
    return dict(answer.body)


async def fetched(daemon: Daemon, token: str, upload_id: str, **headers: str) -> Answer:
    return await daemon.rest("GET", f"/v1/uploads/{upload_id}", None, token, **headers)
