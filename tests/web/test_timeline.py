"""The timeline of the JavaScript client does what that of the Python client does, which other tests prove."""

import json
import os
import re
import subprocess
from random import Random
from typing import Any

from chatd.client.timeline import Timeline
from tests.interop.tools import tool
from tests.web.programs import SOURCES, packages

HISTORIES = 300 * int(os.environ.get("CHATD_TEST_DEPTH", "1"))
CONVERSATIONS, USERS, ALIASES = ["c", "d"], ["me", "you"], ["alias-1", "alias-2"]
TEXTS = ["one", "two"]


class Inputs:
    """Arguments of calls, well-formed and otherwise arbitrary: no server would send them in this order."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def rev(self) -> int:
        return self._random.randint(1, 12)

    def one_of(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def some(self, make: Any, most: int = 4) -> list[Any]:
        return [make() for _ in range(self._random.randint(0, most))]

    def message(self) -> dict[str, Any]:
        rev = self.rev()
        return {"seq": self._random.randint(1, rev), "rev": rev, "text": self.one_of(*TEXTS)}

    def departure(self) -> dict[str, Any]:
        user = self.one_of(*USERS, *ALIASES)
        return {"user": user, "rev": self.rev(), "left_at": 0, "actor": self.one_of(user, "you", None)}

    def member(self) -> dict[str, Any]:
        read = self._random.randint(0, 5)
        member = {"user": self.one_of(*USERS), "read_seq": read, "delivered_seq": read + self._random.randint(0, 1)}
        return member | {"rev": self.rev()} | self.one_of({}, {"role": "member"})

    def state(self) -> dict[str, Any]:
        state = {"id": self.one_of(*CONVERSATIONS), "seq": self._random.randint(0, 5), "rev": self.rev()}
        state |= self.one_of({}, {"alias": self.one_of(*ALIASES)}) | self.one_of({}, {"settings": {}})
        return state | self.one_of({}, {"joined_seq": 1, "joined_rev": 2})

    def event(self) -> dict[str, Any]:
        head = {"conversation": self.one_of(*CONVERSATIONS), "rev": self.rev()}
        message = self.message()
        return self.one_of(
            {"t": "message.new", **head, "message": {**message, "rev": head["rev"]}},
            {"t": "message.new", **head, "message": {**message, "rev": head["rev"]}},
            {"t": "message.update", **head, "message": {**message, "rev": head["rev"]}, "change": "edit"},
            {"t": "message.read", **head, "user": "you", "seq": 1},
            {"t": "member.update", **head, "member": self.member()},
            {"t": "member.left", **head, "departure": self.departure()},
            {"t": "conversation.update", "conversation": self.state(), "rev": head["rev"]},
            {"t": "conversation.update", "conversation": self.state()},
            {"t": "conversation.gone", **head, "reason": "dissolved"},
            {"t": "typing.start", "conversation": head["conversation"], "user": "you"},
            {"t": "behind", **head},
            {"t": "session.behind"},
            {"t": "match.found", "conversation": head["conversation"], "alias": self.one_of(*ALIASES)},
            {"t": "match.kept", "match": "m", "conversation": head["conversation"]},
            {"t": "match.ended", "match": "m", "reason": "left"},
            {"t": "maintenance.mode", "enabled": True, "message": ""},
        )

    def changes(self) -> dict[str, Any]:
        revs = sorted({self.rev() for _ in range(self._random.randint(0, 4))})
        messages = [{"seq": self._random.randint(1, rev), "rev": rev, "text": "x"} for rev in revs]
        page = {"messages": messages, "members": self.some(self.member), "rev": self.rev()}
        page |= {"more": self.one_of(True, False, False), "reset": False} | self.one_of(
            {}, {"departures": self.some(self.departure)}
        )
        return page | self.one_of({}, {"info": {"title": self.one_of(*TEXTS)}})

    def session(self) -> dict[str, Any]:
        state = {"conversations": self.some(self.state), "gone": [], "marks": self.some(lambda: {"message": "m"}, 1)}
        return state | {"threads": self.some(lambda: {"thread": "t"}, 1), "own": self.one_of(True, False)}

    def call(self) -> list[Any]:
        id_ = self.one_of(*CONVERSATIONS)
        event = ["take", self.event()]
        return self.one_of(
            *[event] * 8,
            ["connected"],
            *[["takeStates", self.some(self.state), False]] * 3,
            # One conversation at most is missing: the order in which several end is not fixed.
            ["takeStates", [self.state(), *self.some(self.state)], True],
            *[["statesEnd", f"cursor {self.rev()}", self.session()]] * 3,
            ["removeGone", [id_]],
            ["acked", id_, self.rev(), self.rev()],
            *[["takeChanges", id_, self.changes(), [[seq, self.rev()] for seq in range(1, self.rev())]]] * 3,
            ["takeHistory", id_, sorted(self.some(self.message), key=lambda one: one["seq"])],
            ["hole", id_, self.changes()],
            ["reset", self.state()],
            ["forget", id_, "left"],
            ["noteConversation", self.state()],
        )

    def history(self) -> dict[str, Any]:
        known = {"c": [2, 3, self.one_of(True, False)]}
        position = {"cursor": "x", "conversations": known, "aliases": self.one_of({}, {"c": "alias-1"})}
        return {"position": self.one_of(None, position), "calls": [self.call() for _ in range(40)]}


def in_python(history: dict[str, Any]) -> dict[str, Any]:
    timeline = Timeline(history["position"])
    timeline.user = "me"
    results = []
    for method, *given in json.loads(json.dumps(history["calls"])):
        name = re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), method)
        if method == "takeChanges":
            given[2] = dict(given[2])
        keywords = {"reset": given.pop()} if method == "takeStates" else {}
        results.append(getattr(timeline, name)(*given, **keywords))
    position = {"aliases": {}} | timeline.position()
    known = {id_: place[:2] for id_, place in position["conversations"].items()}
    return {
        "results": results,
        "position": {**position, "conversations": known},
        "behind": sorted(timeline.behind),
        "ownBehind": timeline.own_behind,
        "known": timeline.known_as("c"),
    }


def test_the_timelines_of_both_clients_agree() -> None:
    packages()
    histories = [Inputs(seed).history() for seed in range(HISTORIES)]
    command = [tool("node", "nodejs"), str(SOURCES / "tests/timeline-replay.mjs")]
    done = subprocess.run(command, input=json.dumps(histories), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    emitted = 0
    for seed, (history, found) in enumerate(zip(histories, json.loads(done.stdout), strict=True)):
        expected = json.loads(json.dumps(in_python(history)))
        for call, one, other in zip(history["calls"], found["results"], expected["results"], strict=True):
            assert one == other, (seed, call)
            emitted += len(one) if isinstance(one, list) else 0
        places = found["position"]["conversations"]
        found["position"]["conversations"] = {id_: place[:2] for id_, place in places.items()}
        assert found == expected, seed
    assert emitted > 3 * HISTORIES
