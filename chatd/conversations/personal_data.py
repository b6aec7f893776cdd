"""What conversations store about a user."""

from chatd.app.personal_data import Part, PersonalData, Remains
from chatd.conversations import erasure
from chatd.core.ids import NIL
from chatd.db import queries

SQL = queries.load("conversations/personal_data")
PERSONAL_DATA = PersonalData(
    export=(
        Part("settings", "notification and presence settings", SQL.settings),
        Part("block", "users that the user has blocked", SQL.blocks, ("user",)),
        Part(
            "conversation",
            "the user's conversations with their own settings there (including drafts)",
            SQL.conversations,
            ("conversation",),
        ),
        Part("departure", "conversations that the user has left", SQL.former_memberships, ("conversation",)),
        Part("join_request", "requests to join", SQL.join_requests, ("conversation",)),
        Part(
            "message",
            "messages that the user wrote, with earlier versions, and system messages about what the user did",
            SQL.messages,
            ("client_id",),
            ("",),
        ),
        Part(
            "removed_message",
            "recently removed messages that are withheld for reports, and until when",
            SQL.withheld_messages,
            ("conversation", "seq"),
            (NIL, 0),
        ),
        Part("reaction", "the user's reactions", SQL.reactions, ("conversation", "seq", "emoji"), (NIL, 0, "")),
        Part("mark", "stars and hidden messages", SQL.marks, ("conversation", "seq"), (NIL, 0)),
        Part("scheduled", "messages to be sent later", SQL.scheduled_messages, ("id",)),
        Part("invite", "links that the user created", SQL.invites, ("invite",)),
    ),
    forget=(SQL.forget,),
    erase=erasure.erase,
    remains=(
        Remains(
            "the id, as sender of tombstones, in lists of members, in blocks and mentions by others",
            "`messages`, `thread_replies`, `members`, `former_members`, `blocks`, `mentions`, `scheduled_messages`",
            "as long as the row that contains it",
        ),
        Remains(
            "the title, description and picture that they gave to a group, and the system messages about it",
            "`conversations`, `messages`",
            "they belong to the group: until it changes them, `retention.days` for the messages",
        ),
    ),
)
