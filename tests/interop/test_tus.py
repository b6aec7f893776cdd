"""tus-js-client, the client of the authors of tus, uploads files in parts and goes on after a break."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import trio

from bench.packages import NODE, NotInstalled
from chatd.client import sign_up
from tests.files import fetched, picture
from tests.interop.tools import tool
from tests.support import PATIENCE, Daemon

# Arguments: the endpoint, a token, a file, and the number of bytes after which the first attempt breaks off (0: never).
SCRIPT = """
const fs = require("fs");
const tus = require("tus-js-client");
const [endpoint, token, path, breakAfter] = process.argv.slice(2);

function options(more) {
  return {
    endpoint,
    headers: { Authorization: "Bearer " + token },
    metadata: { filename: "Ängste.bin", filetype: "application/octet-stream" },
    chunkSize: 700000,
    retryDelays: [0, 100, 500],
    onError: (error) => { console.log("error", String(error)); process.exit(1); },
    ...more,
  };
}

function finish(more) {
  const upload = new tus.Upload(fs.createReadStream(path), options({
    ...more,
    onSuccess: () => console.log("done " + upload.url),
  }));
  upload.start();
}

if (breakAfter === "0") {
  finish({ parallelUploads: 1 });
} else {
  let broken = false;
  const first = new tus.Upload(fs.createReadStream(path), options({
    onProgress: (sent) => {
      if (!broken && sent >= Number(breakAfter)) {
        broken = true;
        console.log("broken");
        first.abort().then(() => finish({ uploadUrl: first.url }));
      }
    },
    onSuccess: () => { console.log("it did not break"); process.exit(1); },
  }));
  first.start();
}
"""


def node() -> tuple[str, dict[str, str]]:
    """Node, and the environment in which it finds the client. In CI, a missing package fails the test."""
    program = tool("node", "nodejs")
    try:
        NODE.interpreter()
    except NotInstalled as error:
        missing = f"tus-js-client is not installed: {error}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return program, os.environ | {"NODE_PATH": str(NODE.folder)}


@pytest.mark.parametrize("break_after", [0, 100_000, 900_000])
async def test_tus_js_client(daemon: Daemon, tmp_path: Path, break_after: int) -> None:
    program, environment = node()
    script, file = tmp_path / "upload.js", tmp_path / "file"
    script.write_text(SCRIPT)
    data = bytes(range(256)) * 12_000
    file.write_bytes(data)
    account = await sign_up(daemon.addresses.http)
    endpoint = f"{daemon.addresses.http}/v1/uploads/tus"
    command = [program, str(script), endpoint, account.access_token, str(file), str(break_after)]
    with trio.fail_after(3 * PATIENCE):
        done = await trio.run_process(
            command, capture_stdout=True, env=environment, check=False, stderr=subprocess.STDOUT
        )
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, lines
    assert lines[:-1] == (["broken"] if break_after else [])
    url = lines[-1].removeprefix("done ")
    upload = url.rpartition("/")[2]
    info = (await daemon.rest("GET", f"/v1/uploads/{upload}/info", None, account.access_token)).body
    assert (info["size"], info["name"]) == (len(data), "Ängste.bin")
    got = await fetched(daemon, account.access_token, upload)
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(data).digest()


async def test_tus_js_client_reports_a_refused_image(daemon: Daemon, tmp_path: Path) -> None:
    program, environment = node()
    script, file = tmp_path / "upload.js", tmp_path / "file"
    script.write_text(SCRIPT)
    file.write_bytes(picture()[:-20])
    account = await sign_up(daemon.addresses.http)
    endpoint = f"{daemon.addresses.http}/v1/uploads/tus"
    command = [program, str(script), endpoint, account.access_token, str(file), "0"]
    with trio.fail_after(3 * PATIENCE):
        done = await trio.run_process(
            command, capture_stdout=True, env=environment, check=False, stderr=subprocess.STDOUT
        )
    assert done.returncode == 1
    assert "the image is truncated" in done.stdout.decode()
