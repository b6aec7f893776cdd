"""Requests that reach a node which does not have their session: this node asks the one that has it.

A proxy may send each request of a client to another node. The session stays where it began, so what is asked is small:
the next frames, or a command that changes the session. The answer is a key in Redis, which the asking node reads once
and deletes, and so is a command, which may contain secrets: the bus, which every node reads, carries their numbers.
"""

from typing import Any

import msgspec
import trio
from msgspec import Struct

from chatd.app.context import Ctx, Node
from chatd.app.dispatch import run_command
from chatd.app.encoding import Answer, EncodedResult
from chatd.app.registry import Registry
from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.health import REMINDER_S, Condition, Sparse
from chatd.core.identity import Principal
from chatd.event_streams.positions import Position
from chatd.event_streams.service import EventSessions
from chatd.http.session_header import RemoteSessions
from chatd.wire.base import Command, Error, Result, refused_by
from chatd.wire.codec import tag_of

LOG = log.get(__name__)

# Time for a question and its answer, besides what is waited for.
ANSWER_TIMEOUT_S = 3.0
# Interval at which the asking node checks that the other one is alive.
ALIVE_POLL_S = 0.5
ANSWER_TTL_S = 10
# Questions that this node answers at the same time; further ones are refused.
MAX_QUESTIONS = 2000


class Question(ControlMessage):
    """What a user asks about a session. `number`: of the answer, at the node `asker`."""

    asker: str
    number: int
    session: str

    def concerns(self, receiver: Receiver) -> bool:
        """Whether this node has the session, or has had it."""
        raise NotImplementedError

    async def answer(self, node: Node) -> bytes | None:
        """The answer; None if there is no such session of this user."""
        raise NotImplementedError

    async def apply(self, receiver: Receiver) -> None:
        if self.concerns(receiver):
            receiver.services.get(SessionRelay).begin(self)


class NextFrames(Struct, array_like=True):
    """The frames after the asked one. `is_over`: no more will come."""

    frames: list[bytes]
    is_over: bool


class AskFrames(Question, array_like=True, tag="ask-frames"):
    """Asks the node `node` for the frames after `after`, within `wait_s`."""

    who: Principal
    node: str
    after: int
    wait_s: float

    def concerns(self, receiver: Receiver) -> bool:
        return self.node == receiver.name

    async def answer(self, node: Node) -> bytes | None:
        session = node.get(EventSessions).find(self.session, self.who, self.after)
        if session is None:
            return None
        with session.read(self.after) as reading:
            return msgspec.msgpack.encode(NextFrames(await reading.next(self.wait_s), reading.is_over))


class RemoteCommand(Struct, array_like=True):
    """A command for the session of another node. `body`: in JSON; it may contain secrets."""

    who: Principal
    address: str
    body: bytes


class AskCommand(Question, array_like=True, tag="ask-command"):
    """Asks the node that has the session to run a command of it: the `RemoteCommand` that waits in Redis."""

    def concerns(self, receiver: Receiver) -> bool:
        return self.session in receiver.hub.connections.by_id

    async def answer(self, node: Node) -> bytes | None:
        data = await node.redis.call("GETDEL", command_key(node, self))
        session = node.hub.connections.by_id.get(self.session)
        if data is None or session is None:
            return None
        asked = msgspec.msgpack.decode(data, type=RemoteCommand)
        who, row = asked.who, node.get(SessionRelay).row_of(asked.body)
        if row is None or (session.tenant, session.user) != (who.tenant, who.user):
            return None
        answers: list[Answer] = []
        ctx = Ctx(node, who, session.id, asked.address, node.clock(), answers.append, is_request=True)
        ctx.renew = session.renew
        await run_command(row, ctx, msgspec.json.decode(asked.body, type=row.command))
        found = answers[0]
        return bytes(found.wrapped(b"", b"")) if isinstance(found, EncodedResult) else msgspec.json.encode(found)


class QuestionAnswered(ControlMessage, array_like=True, tag="answered"):
    """The answer is in Redis, or there is no such session. `refusal`: why there is no answer, "" if there is one."""

    asker: str
    number: int
    found: bool
    refusal: str = ""

    async def apply(self, receiver: Receiver) -> None:
        if self.asker == receiver.name:
            receiver.services.get(SessionRelay).note_answer(self)


def answer_key(node: Node, question: Question) -> str:
    return node.redis.key("relay", question.asker, str(question.number))


def command_key(node: Node, question: Question) -> str:
    return node.redis.key("relay", question.asker, str(question.number), "command")


class Waiting:
    """A question whose answer is awaited."""

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.answer: QuestionAnswered | None = None


class SessionRelay(RemoteSessions):
    """Asks other nodes, and answers them."""

    def __init__(self, node: Node, nursery: trio.Nursery, max_questions: int = MAX_QUESTIONS) -> None:
        self._node = node
        self._nursery = nursery
        self._max_questions = max_questions
        self._failing = Condition("answers to other nodes", quiet_s=REMINDER_S, logger=LOG)
        self._overloads = Sparse(LOG, "node")
        self._waiting: dict[int, Waiting] = {}
        self._number = 0
        self._questions = 0
        self._rows = {row.tag: row for row in node.get(Registry).commands.values() if row.of_session}

    def row_of(self, command: bytes) -> Any:
        """The row of an encoded command, if it is one of a session."""
        return self._rows.get(msgspec.json.decode(command, type=Tagged).t)

    # --- asking ---------------------------------------------------------------------------------------------------

    async def frames(self, position: Position, who: Principal, wait_s: float) -> NextFrames | None:
        """The frames after this position; None if its node does not have them, or has ended.

        Raises Refused: `unavailable` if the node cannot answer now.
        """
        node, session, after = position
        number = self._next_number()
        question = AskFrames(self._node.cluster.name, number, session, who, node, after, wait_s)
        data = await self._ask(question, wait_s + ANSWER_TIMEOUT_S, node)
        return None if data is None else msgspec.msgpack.decode(data, type=NextFrames)

    async def run(self, session: str, principal: Principal, address: str, command: Command) -> Result:
        """The command itself is in Redis until the other node takes it: entries of the bus remain for a while."""
        redis, row = self._node.redis, self._rows[tag_of(type(command))]
        question = AskCommand(self._node.cluster.name, self._next_number(), session)
        key, asked = command_key(self._node, question), RemoteCommand(principal, address, msgspec.json.encode(command))
        data = None
        if self._is_alive(None):
            await redis.call("SET", key, msgspec.msgpack.encode(asked), "EX", ANSWER_TTL_S)
            data = await self._ask(question, ANSWER_TIMEOUT_S)
        if data is None:
            await redis.call("DEL", key)
            raise Refused("not_found", "no such session")
        answer: Result = msgspec.json.decode(data, type=row.result | Error)
        if isinstance(answer, Error):
            raise refused_by(answer)
        return answer

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    async def _ask(self, question: Question, timeout_s: float, of: str | None = None) -> bytes | None:
        """The answer; None if there is none in time, or the node `of` is dead. Raises Refused: `unavailable`, also if
        the other node cannot answer.
        """
        if not self._is_alive(of):
            return None
        waiting = self._waiting[question.number] = Waiting()
        self._node.cluster.publish(question)
        try:
            with trio.move_on_after(timeout_s):
                while not waiting.answered.is_set() and self._is_alive(of):
                    with trio.move_on_after(ALIVE_POLL_S):
                        await waiting.answered.wait()
        finally:
            del self._waiting[question.number]
        answer = waiting.answer
        if answer is not None and answer.refusal:
            raise Refused(answer.refusal)
        if answer is None or not answer.found:
            return None
        data: bytes | None = await self._node.redis.call("GETDEL", answer_key(self._node, question))
        return data

    def _is_alive(self, of: str | None) -> bool:
        cluster = self._node.cluster
        peers = cluster.peers(cluster.times.silence_s)
        return of in peers if of is not None else bool(peers)

    def note_answer(self, answer: QuestionAnswered) -> None:
        waiting = self._waiting.get(answer.number)
        if waiting is not None:
            waiting.answer = answer
            waiting.answered.set()

    # --- answering ------------------------------------------------------------------------------------------------

    def begin(self, question: Question) -> None:
        """Answer in a task of its own: the bus must not wait."""
        if self._questions >= self._max_questions:
            self._overloads.log("too many requests of another node for sessions of this one", question.asker)
            self._publish(question, refusal="unavailable")
            return
        self._questions += 1
        self._nursery.start_soon(self._answer, question)

    async def _answer(self, question: Question) -> None:
        found, refusal = False, "unavailable"
        try:
            with self._failing.watch():
                data = await question.answer(self._node)
                if data is not None:
                    await self._node.redis.call("SET", answer_key(self._node, question), data, "EX", ANSWER_TTL_S)
                found, refusal = data is not None, ""
        finally:
            self._questions -= 1
        self._publish(question, found=found, refusal=refusal)

    def _publish(self, question: Question, *, found: bool = False, refusal: str = "") -> None:
        self._node.cluster.publish(QuestionAnswered(question.asker, question.number, found, refusal))


class Tagged(Struct):
    """The type of a body."""

    t: str
