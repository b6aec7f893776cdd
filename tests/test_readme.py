"""The examples of the README work as printed."""

import re
import subprocess
import sys
from pathlib import Path

import trio

from tests.support import Daemon

README = (Path(__file__).parent.parent / "README.md").read_text()


async def test_the_first_conversation_in_python(daemon: Daemon, tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    text = code[1].replace("http://127.0.0.1:8081", daemon.addresses.http)
    script = tmp_path / "first.py"
    script.write_text(text.replace("ws://127.0.0.1:8080/v1/ws", daemon.addresses.socket))
    assert daemon.addresses.socket in script.read_text()
    with trio.fail_after(30):
        done = await trio.run_process([sys.executable, str(script)], capture_stdout=True, stderr=subprocess.STDOUT)
    assert done.stdout.decode().split("\n")[:2] == ["committed as number 1", "Bob reads: Hello, Bob"]
