"""Files of an import: what members see, what is refused, and what a break has left."""

import os
from pathlib import Path
from typing import Any

import pytest
import trio
import typer

from chatd.cli.common import run_async
from chatd.core.config import Config
from chatd.core.errors import OperatorError
from chatd.db.postgres import Postgres
from chatd.importing.files import BadFile, Source, upload_id_of
from chatd.importing.known import message_id_of
from chatd.uploads.blobs import new_key, path_of, thumbnail_key
from chatd.uploads.settings import UploadSettings
from tests.files import PDF, picture
from tests.importing.test_import import ANN, EXPORT, GROUP, Import, T, chatd
from tests.support import running

__all__ = ["chatd"]
MESSAGE: dict[str, Any] = {
    "type": "message",
    "conversation": "g1",
    "id": "m5",
    "sender": "ann",
    "created_at": T + 5000,
    "attachments": [{"file": "2020/cat.png", "name": "Cat.png"}, {"file": "a.pdf"}, {"url": "https://example.org/"}],
}
PICTURE = picture(size=(800, 600))
FIRST, SECOND = (upload_id_of(message_id_of(GROUP, "m5"), index) for index in (0, 1))


@pytest.fixture
def folder(chatd: Import, config: Config) -> Path:
    """The folder of the files. The import writes where the daemon reads."""
    chatd.environment["CHATD_UPLOADS__DIR"] = str(stored_in(config))
    folder = chatd.folder / "files"
    (folder / "2020").mkdir(parents=True)
    (folder / "2020/cat.png").write_bytes(PICTURE)
    (folder / "a.pdf").write_bytes(PDF)
    return folder


def stored_in(config: Config) -> Path:
    return Path(config.data.dir) / "uploads"


def blobs(config: Config) -> set[str]:
    return {path.name for path in stored_in(config).rglob("*") if len(path.name) == 40}


async def keys(store: Postgres) -> set[str]:
    rows = await store.all("select key, thumbnail_size is not null as has_thumbnail from uploads")
    return {key for row in rows for key in (row["key"], *([thumbnail_key(row["key"])] if row["has_thumbnail"] else []))}


async def test_files_are_uploads_of_the_sender(config: Config, chatd: Import, folder: Path, store: Postgres) -> None:
    summary = chatd([*EXPORT, MESSAGE], "--uploads", "files")
    assert (summary["errors"], summary["new"]["files"], summary["new"]["users"]) == ([], 2, 3)
    async with running(config) as daemon:
        token = daemon.token("ben")
        items = (await daemon.rest("GET", f"/v1/conversations/{GROUP}/messages", token=token)).body["items"]
        image, file, link = items[-1]["attachments"]
        assert (image["type"], image["upload"], image["name"], image["mime"]) == (
            "image",
            FIRST,
            "Cat.png",
            "image/png",
        )
        assert (image["width"], image["height"], "thumbnail" in image) == (800, 600, True)
        assert (file["type"], file["name"], file["size"]) == ("file", "a.pdf", len(PDF))
        assert link == {"type": "link", "url": "https://example.org/"}
        for upload, mime in ((FIRST, "image/png"), (SECOND, "application/pdf")):
            got = await daemon.rest("GET", f"/v1/uploads/{upload}", token=token)
            assert (got.status, got.headers["content-type"]) == (200, mime)
            assert (await daemon.rest("GET", f"/v1/uploads/{upload}", token=daemon.token("cat"))).status == 404
        assert (await daemon.rest("GET", f"/v1/uploads/{FIRST}/thumbnail", token=token)).status == 200
        rows = await store.all("select owner::text, created_at from uploads")
        assert {(row["owner"], row["created_at"]) for row in rows} == {(ANN, T + 5000)}
        assert (await daemon.rest("DELETE", f"/v1/uploads/{SECOND}", token=daemon.token("ann"))).status == 200
    again = chatd([*EXPORT, MESSAGE], "--uploads", "files")
    assert set(again["new"].values()) == {0}


async def test_files_that_are_refused(config: Config, chatd: Import, folder: Path, store: Postgres) -> None:
    (folder / "out").symlink_to("/etc")
    (folder / "large").write_bytes(bytes(UploadSettings().max_bytes + 1))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"file": "none.png"}, "No such file"),
        ({"file": "../export.jsonl"}, "below the folder"),
        ({"file": str(folder / "a.pdf")}, "below the folder"),
        ({"file": "out/passwd"}, "below the folder"),
        ({"file": "2020"}, "expected a file"),
        ({"file": "large"}, "uploads.max_bytes"),
        ({"file": "a\0.pdf"}, ""),
        ({"file": "a.pdf", "url": "https://example.org/"}, "either url, or file"),
        ({"name": "a.pdf"}, "either url, or file"),
    ]
    lines = [{**MESSAGE, "id": f"w{number}", "attachments": [one]} for number, (one, _) in enumerate(wrong)]
    system = {name: value for name, value in MESSAGE.items() if name != "sender"}
    summary = chatd([*EXPORT, *lines, system], "--uploads", "files")
    assert len(summary["errors"]) == len(wrong) + 1
    for (_, text), error in zip(wrong, summary["errors"], strict=False):
        assert text in error["message"], error
    assert "a message of the system" in summary["errors"][-1]["message"]
    assert "--uploads" in chatd([*EXPORT, MESSAGE])["errors"][0]["message"]
    dry = chatd([*EXPORT, MESSAGE], "--uploads", "files", "--dry-run")
    assert (dry["errors"], dry["dry_run"]) == ([], True)
    assert (await store.value("select count(*) from users"), blobs(config)) == (0, set())


async def test_files_of_an_import_that_broke_off_are_stored_anew(
    config: Config, chatd: Import, folder: Path, store: Postgres
) -> None:
    """The row of a file is written before its bytes, and both before the message. An image that cannot be decoded is a
    file.
    """
    chatd(EXPORT)
    key = new_key()
    left = stored_in(config) / path_of(key)
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a pict")
    row = "insert into uploads (tenant, id, owner, key, mime, size, sha256, created_at) values ('default', $1, $2, $3, $4, 9, $5, 1)"
    await store.run(row, FIRST, ANN, key, "image/png", b"x")
    (folder / "2020/cat.png").write_bytes(PICTURE[:500])
    assert chatd([*EXPORT, MESSAGE], "--uploads", "files")["new"]["files"] == 2
    assert (blobs(config), left.exists()) == (await keys(store), False)
    mimes = await store.all("select mime from uploads order by mime")
    assert [one["mime"] for one in mimes] == ["application/octet-stream", "application/pdf"]


def test_a_link_that_is_replaced_after_the_check_opens_no_other_file(tmp_path: Path) -> None:
    """What is read is checked after it is opened, so no time is left to put something else in its place."""
    folder, outside = tmp_path / "files", tmp_path / "secret"
    folder.mkdir()
    (folder / "inside").write_bytes(b"inside")
    outside.write_bytes(b"secret")
    link, source = folder / "link", Source(folder, 100)
    link.symlink_to("inside")
    source.check("link", "$.file")
    assert b"".join(source.read("link")) == b"inside"
    for target in (outside, "../secret", "/proc/self/mem", "/dev/zero"):
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(BadFile):
            source.read("link")
    link.unlink()
    os.mkfifo(link)
    with pytest.raises(BadFile, match="expected a file"):
        source.read("link")
    (folder / "inside").write_bytes(bytes(101))
    with pytest.raises(BadFile, match="100 bytes"):
        source.read("inside")


def test_failures_at_the_same_time_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail(path: str) -> None:
        raise OperatorError(f"{path}: not readable")

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, "a.png")
            nursery.start_soon(fail, "b.png")

    with pytest.raises(typer.Exit):
        run_async(work)
    assert capsys.readouterr().err.count("not readable") == 1

    async def work_with_a_bug() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, "a.png")
            nursery.start_soon(trio.sleep, "a bug")

    with pytest.raises(BaseExceptionGroup):
        run_async(work_with_a_bug)
