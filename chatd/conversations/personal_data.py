"""What conversations store about a user."""

from chatd.app.personal_data import Part, PersonalData
from chatd.conversations import erasure
from chatd.core.ids import NIL
from chatd.db import queries

SQL = queries.load("conversations/personal_data")
PERSONAL_DATA = PersonalData(
    export=(
        Part("settings", SQL.settings),
        Part("block", SQL.blocks, ("user",)),
        Part("conversation", SQL.conversations, ("conversation",)),
        Part("departure", SQL.former_memberships, ("conversation",)),
        Part("join_request", SQL.join_requests, ("conversation",)),
        Part("message", SQL.messages, ("client_id",), ("",)),
        Part("removed_message", SQL.withheld_messages, ("conversation", "seq"), (NIL, 0)),
        Part("reaction", SQL.reactions, ("conversation", "seq", "emoji"), (NIL, 0, "")),
        Part("mark", SQL.marks, ("conversation", "seq"), (NIL, 0)),
        Part("scheduled", SQL.scheduled_messages, ("id",)),
        Part("invite", SQL.invites, ("invite",)),
    ),
    forget=(SQL.forget,),
    erase=erasure.erase,
)
