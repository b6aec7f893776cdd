"""A daemon killed during an erasure and with scheduled messages completes them afterwards, once."""

from pathlib import Path
from typing import Any

import trio

from chatd.client import Account
from chatd.core.clock import now_ms
from tests.faults.process import Process, linked, process
from tests.faults.test_process import group_of, history

MESSAGES = 200
PATIENCE = 60.0


async def call_all(daemon: Process, account: Account, commands: list[dict[str, Any]]) -> None:
    """One after the other."""
    async with linked(daemon, account) as link:
        for command in commands:
            await link.call(command)


async def test_kill_during_erasure_and_scheduled_messages_is_recovered(tmp_path: Path) -> None:
    async with process(tmp_path) as daemon:
        (ann, ben, *_), conversation = await group_of(daemon, 3)
        messages = [
            {"t": "message.send", "conversation": conversation, "client_id": f"a{number}", "text": "mine"}
            for number in range(MESSAGES)
        ]
        await call_all(daemon, ann, messages)
        at = now_ms() + 6000
        plan = {"t": "message.schedule", "conversation": conversation, "text": "planned", "at": at}
        await call_all(daemon, ben, [{**plan, "client_id": f"p{number}"} for number in range(80)])
        await call_all(daemon, ann, [{"t": "me.erase", "confirm": True}])
        await trio.sleep_until(trio.current_time() + max(0, at - now_ms()) / 1000 + 0.3)
        await daemon.kill()
        await daemon.start()
        with trio.fail_after(PATIENCE):
            while not is_done(items := await history(daemon, ben, conversation), ann.user):
                await trio.sleep(0.5)
        assert [item["seq"] for item in items] == list(range(1, len(items) + 1))
        assert sorted(item["client_id"] for item in items if item["text"]) == sorted(
            f"p{number}" for number in range(80)
        )


def is_done(items: list[dict[str, Any]], erased: str) -> bool:
    planned = [item for item in items if item["text"] == "planned"]
    left = [item for item in items if item["sender"] == erased and "system" not in item and "deleted_at" not in item]
    return len(planned) >= 80 and not left
