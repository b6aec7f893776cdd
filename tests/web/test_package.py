"""What the daemon serves of the JavaScript client, and its package."""

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from chatd import __version__
from tests.interop.tools import tool
from tests.web.programs import BUNDLE, SOURCES, STATIC, packages

MAX_GZIPPED = 25_000
BUILT = ("chatd-client.js", "chatd-react.js", "chatd-client.d.ts", "chatd-react.d.ts", "package.json")


def run(*command: str, folder: Path = SOURCES) -> str:
    """The output. The program is one of those that `tool` finds, or of the packages."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packages()
    folder = tmp_path_factory.mktemp("client")
    run(tool("node", "nodejs"), "build.mjs", str(folder))
    return folder


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_is_served_is_fresh(built: Path) -> None:
    served = {name: text for name, text in files(STATIC).items() if name in BUILT or name.startswith("types/")}
    assert served == files(built), "chatd/web/static is stale: run `make web`"


def test_the_demo_page_is_fresh_and_its_types_agree_with_the_client(tmp_path: Path) -> None:
    packages()
    run(tool("node", "nodejs"), "build.mjs", str(tmp_path), "--check", folder=SOURCES.parent / "demo")
    assert files(STATIC / "demo") == files(tmp_path), "chatd/web/static/demo is stale: run `make web`"


def test_the_types_of_the_wire_are_fresh() -> None:
    """Without Node, too: a new command changes them."""
    documented = (STATIC.parents[2] / "docs/chatd.d.ts").read_text()
    assert (STATIC / "types/protocol.d.ts").read_text() == documented, "run `make schema`"


def test_the_client_is_small_and_needs_nothing_else() -> None:
    data = BUNDLE.read_bytes()
    assert len(gzip.compress(data, 9)) < MAX_GZIPPED
    assert not re.search(rb'\b(import\s*["{*]|from\s*"|require\()', data)
    react = (STATIC / "chatd-react.js").read_text()
    assert set(re.findall(r'from\s*"([^"]+)"', react)) == {"react"}


def test_the_package_has_no_dependencies_and_the_version_of_chatd() -> None:
    package = json.loads((SOURCES / "package.json").read_text())
    assert package["version"] == __version__
    assert "dependencies" not in package
    lock = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    root = lock.pop("")
    assert {name: root[name] for name in ("version", "devDependencies")} == {
        name: package[name] for name in ("version", "devDependencies")
    }
    assert all(entry["integrity"].startswith("sha512-") for entry in lock.values())
    assert not [name for name, entry in lock.items() if "resolved" in entry]


USE = """
import { ChatClient, connect, guest, memoryStorage, Refused, type ChatMessage, type Message } from "@chatd/client";
import { ChatProvider, useConversation, useTyping } from "@chatd/client/react";

const account = guest({ url: "http://127.0.0.1:8081", storage: memoryStorage() });
const client: ChatClient = connect({ url: "http://127.0.0.1:8081", token: account.token });
const ack = await client.call("message.send", { conversation: "c", client_id: "1", text: "hello" });
const seq: number = ack.seq;
const { items } = await client.call("block.list");
const name: string | null | undefined = items[0]?.name;
client.on("message.new", (event) => { const message: Message = event.message; void message; });
client.conversations.subscribe((list) => list.items.map((one) => one.unread + seq));
const state: ChatMessage["state"] = client.conversation("c").get().messages[0]?.state;
void [name, state, Refused, ChatProvider, useConversation, useTyping];

// @ts-expect-error: a field that the command does not have
await client.call("message.send", { conversation: "c", client_id: "1", txt: "hello" });
// @ts-expect-error: a required field is missing
await client.call("message.send", { conversation: "c" });
// @ts-expect-error: the fields of a command that needs some
await client.call("conversation.get");
// @ts-expect-error: there is no such command
await client.call("message.sent", {});
// @ts-expect-error: there is no such event
client.on("message.old", () => {});
// @ts-expect-error: only some commands have no answer
await client.notify("message.send", { conversation: "c", client_id: "1" });
// @ts-expect-error: values are immutable
client.conversations.get().items.push();
"""
CHECKS = '{"compilerOptions": {"strict": true, "module": "esnext", "moduleResolution": "bundler", "target": "es2022", "noEmit": true, "types": [], "skipLibCheck": false, "lib": ["es2022", "dom"]}, "include": ["use.ts"]}'


def test_the_published_package_works_and_has_types(built: Path, tmp_path: Path) -> None:
    """As `npm pack` makes it, in the project of somebody else."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("package.json", "README.md"):
        shutil.copy(SOURCES / name, source)
    shutil.copytree(built, source / "dist")
    packed = run(tool("npm", "npm"), "pack", "--silent", "--ignore-scripts", folder=source).strip()
    with tarfile.open(fileobj=io.BytesIO((source / packed).read_bytes())) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
        assert {*(f"dist/{name}" for name in BUILT), "package.json", "README.md"} <= names
        assert {name for name in names if not name.startswith("dist/")} == {"package.json", "README.md"}
        archive.extractall(tmp_path, filter="data")
    app = tmp_path / "app"
    modules = app / "node_modules"
    (modules / "@chatd").mkdir(parents=True)
    (tmp_path / "package").rename(modules / "@chatd/client")
    for name in ("react", "@types"):
        os.symlink(SOURCES / "node_modules" / name, modules / name)
    (app / "use.ts").write_text(USE)
    (app / "tsconfig.json").write_text(CHECKS)
    run(str(SOURCES / "node_modules/.bin/tsc"), "-p", str(app), folder=app)
    script = "import('@chatd/client').then((chat) => console.log(typeof chat.connect))"
    assert run(tool("node", "nodejs"), "--input-type=module", "-e", script, folder=app) == "function\n"


def test_units() -> None:
    """The tests of single modules, in Node."""
    packages()
    report = run(tool("node", "nodejs"), "--test", "tests/")
    passed = re.search(r"^# pass (\d+)$", report, re.MULTILINE) or re.search(r"pass (\d+)", report)
    assert passed
    assert int(passed[1]) > 10
