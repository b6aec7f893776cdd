"""What polls store about a user: their votes."""

from msgspec import UNSET
from msgspec.structs import replace

from chatd.app.effects import Effects, ToConversation, deliver
from chatd.app.personal_data import Erasing, Part, PersonalData
from chatd.conversations.effects import update_event
from chatd.conversations.events import MessageUpdate
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.core.ids import NIL
from chatd.db import queries
from chatd.polls.state import poll_in
from chatd.polls.voting import own_options, store

SQL = queries.load("polls/polls")


async def erase(erasing: Erasing) -> None:
    """Take back all votes of the user, also in polls that have ended: the counts are those of the remaining users."""
    while rows := await erasing.node.db.all(SQL.votes_of_user, *erasing.key, erasing.batch_size):
        for row in rows:
            effects = await change_conversation(
                erasing.ctx, row["conversation"], take_back, row["seq"], allow_non_member=True, allow_blocked=True
            )
            await deliver(erasing.ctx, effects)
        await erasing.hold()


async def take_back(tx: ConversationTx, seq: int) -> Effects:
    """Remove the vote of the user, unless it is removed already."""
    own, row = await own_options(tx, seq), await tx.one(SQL.poll, seq)
    if not own["options"]:
        return []
    await tx.run(SQL.replace_votes, seq, tx.user, [], tx.now)
    if row is None or row["poll"] is None:
        return []
    message = await store(tx, row["id"], seq, poll_in(row["poll"]).recounted(own["options"], []))
    event = update_event(tx, message, "vote")
    return [ToConversation(tx.conversation, replace(event, by=UNSET) if isinstance(event, MessageUpdate) else event)]


PERSONAL_DATA = PersonalData(
    export=(
        Part("poll_vote", "the user's votes in polls", SQL.export, ("conversation", "seq", "option"), (NIL, 0, -1)),
    ),
    erase=erase,
)
