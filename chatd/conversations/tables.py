"""The tables of conversations: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Kept, Limited, OneFor, OneRow, Table, UserData, Within
from chatd.db import queries

CONTACTS = queries.load("consent/contacts")
CONSENT_RULES = queries.load("conversations/consent_rules")
BLOCKING = queries.load("conversations/blocking")
DELETION = queries.load("conversations/deletion")
ERASURE = queries.load("conversations/erasure")
POLLS = queries.load("polls/polls")
JOINING = queries.load("conversations/joining")
MEMBERSHIP = queries.load("conversations/membership")
OLD_INVITES = queries.load("accounts/idle_accounts")
EVIDENCE = queries.load("moderation/reports")
SCHEDULING = queries.load("conversations/scheduling")

OF_MEMBERS = (
    Table(
        "conversations",
        (Limited("limits.conversations_per_user"),),
        UserData(
            what=("`creator`, `pair_low`, `pair_high`: ids; `title`, `description`, `picture`: given by members"),
            kept="forever",
            exported=("conversation",),
            erased="stays: it belongs to the members",
            id_stays=("creator", "pair_low", "pair_high"),
        ),
        impersonal=("kind", "joining", "history", "external_id"),
    ),
    Table(
        "members",
        (Within("conversations"), Limited("limits.members"), Limited("limits.conversations_per_user")),
        UserData(
            what="`user_id`, `alias`; `draft`, `draft_parts`, `labels`, `notify`, `role`; receipt positions",
            kept="until they leave",
            exported=("conversation",),
            erased="the user leaves all groups; the own settings of direct conversations are deleted",
            id_stays=("user_id",),
        ),
    ),
    Table(
        "former_members",
        (Within("conversations"), Within("users"), Deleted(MEMBERSHIP, "insert_members")),
        UserData(
            what=(
                "`user_id`, `alias`, `actor`: who left, and who removed them; `visible_seqs`: the messages that they "
                "could see"
            ),
            kept="until they come back",
            exported=("departure",),
            erased="stays: other members synchronise it",
            id_stays=("user_id", "actor"),
        ),
    ),
    Table(
        "invites",
        (Within("conversations"), Deleted(OLD_INVITES, "sweep_invites")),
        UserData(
            what="`creator`; `secret_hash`",
            kept="an hour after it ends",
            exported=("invite",),
            erased="deleted",
            rows_of="creator",
        ),
    ),
    Table(
        "join_requests",
        (Within("conversations"), Within("users"), Deleted(JOINING, "delete_request")),
        UserData(
            what="`user_id`; `text`",
            kept="until it is answered",
            exported=("join_request",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "blocks",
        (Within("users"), Deleted(BLOCKING, "remove"), Limited("limits.blocks_per_user")),
        UserData(
            what="`blocker`, `blocked`; `blocked_as`: the id or alias by which they were blocked",
            kept="until it is lifted",
            exported=("block",),
            erased="deleted; blocks of the user by others stay",
            rows_of="blocker",
            id_stays=("blocked", "blocked_as"),
        ),
    ),
    Table(
        "user_settings",
        (Within("users"),),
        UserData(
            what=(
                "`user_id`; `notify`, `quiet`, `show_presence`, `allow_messages`, `allow_groups`, `allow_calls`, and "
                "when they were last seen"
            ),
            kept="as long as the account",
            exported=("settings",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "contacts",
        (Within("users"), Limited("limits.contacts_per_user"), Deleted(CONTACTS, "remove")),
        UserData(
            what="`user_id`, `contact`",
            kept="until it is removed",
            exported=("contact",),
            erased="deleted, also those of others",
            rows_of="user_id",
        ),
    ),
    Table(
        "contact_requests",
        (Within("conversations"), Within("users"), Deleted(CONSENT_RULES, "admit")),
        UserData(
            what="`user_id`, `sender`: who was asked, and by whom; when it was declined",
            kept="until it is accepted, or as long as the conversation",
            exported=("request", "sent_request"),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "request_senders",
        (Within("users"), OneFor("each user")),
        UserData(
            what="`user_id`; how many requests they have sent, and a score of those that were declined",
            kept="as long as the account",
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table("database_epoch", (OneRow(),), impersonal=("value",)),
)
OF_MESSAGES = (
    Table(
        "messages",
        (
            Within("conversations"),
            Limited("retention.days"),
            Kept("a deleted message keeps its row without contents, because `seq` has no gaps"),
        ),
        UserData(
            what=(
                "`sender`; `client_id`, `text`, `attachments`, `meta`, `system`, `extra` (mentions, polls, buttons), "
                "`reactions` (counts), `replies` (ids of participants)"
            ),
            kept="the contents until `retention.days`, the tombstone forever",
            exported=("message",),
            erased="becomes a tombstone",
            id_stays=("sender", "system", "extra"),
        ),
        impersonal=("reply_to",),
    ),
    Table(
        "message_edits",
        (Within("messages"), Deleted(DELETION, "delete_messages"), Limited("messages.edits")),
        UserData(
            what="`text`: earlier versions of a message",
            kept="as long as the message",
            exported=("message",),
            erased="deleted with the message",
        ),
    ),
    Table(
        "reactions",
        (Within("messages"), Limited("messages.reactions"), Deleted(DELETION, "delete_messages")),
        UserData(
            what="`user_id`; `emoji`",
            kept="until it is taken back, or as long as the message",
            exported=("reaction",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "poll_votes",
        (
            Within("messages"),
            Deleted(POLLS, "replace_votes"),
            Deleted(DELETION, "delete_messages"),
            Kept("a user has one for each option of a poll"),
        ),
        UserData(
            what="`user_id`: who has voted for what, also in anonymous polls",
            kept="until it is taken back, or as long as the message",
            exported=("poll_vote",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "poll_deadlines",
        (Within("messages"), Deleted(POLLS, "remove_deadline"), Deleted(DELETION, "delete_messages")),
    ),
    Table(
        "mentions",
        (Within("messages"), Deleted(DELETION, "delete_messages")),
        UserData(
            what="`user_id`",
            kept="as long as the message",
            exported=("message",),
            erased="deleted with the user's own messages; mentions by others stay",
            id_stays=("user_id",),
        ),
    ),
    Table(
        "marks",
        (Within("messages"), Limited("limits.stars_per_user"), Deleted(ERASURE, "delete_marks")),
        UserData(
            what="`user_id`: stars, and messages hidden for oneself",
            kept="until they are taken back",
            exported=("mark",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "upload_uses",
        (Within("uploads"), Within("conversations"), Deleted(DELETION, "delete_messages")),
        UserData(what="`upload`: where a file is shown", kept="as long as the message", erased="deleted with the file"),
    ),
    Table(
        "scheduled_messages",
        (Within("users"), Deleted(SCHEDULING, "delete_sent"), Limited("messages.scheduled_per_user")),
        UserData(
            what="`sender`; `client_id`, `body`, `failed`",
            kept="until it is sent",
            exported=("scheduled",),
            erased="deleted; mentions of the user in messages that others have scheduled stay",
            rows_of="sender",
            id_stays=("body",),
        ),
    ),
    Table(
        "draft_uploads",
        (Within("members"), Within("uploads")),
        UserData(
            what="`user_id`; `upload`: files of drafts",
            kept="as long as the draft",
            exported=("conversation",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "scheduled_uploads",
        (Within("scheduled_messages"),),
        UserData(
            what="`upload`: files of scheduled messages",
            kept="as long as the scheduled message",
            erased="deleted with the scheduled message",
        ),
        impersonal=("scheduled",),
    ),
)
OF_REMOVED_MESSAGES = (
    Table(
        "withheld_messages",
        (Deleted(EVIDENCE, "sweep_withheld_messages"), Limited("moderation.keep_removed")),
        UserData(
            what="`sender`; `text`, `attachments`, `meta`, `system`, `edits`",
            kept="`moderation.keep_removed`",
            exported=("removed_message",),
            erased="stays until then",
        ),
    ),
    Table(
        "withheld_uploads",
        (Deleted(EVIDENCE, "sweep_withheld_uploads"), Limited("moderation.keep_removed")),
        UserData(
            what="`upload`: files of removed messages", kept="`moderation.keep_removed`", erased="stays until then"
        ),
    ),
)
TABLES = (*OF_MEMBERS, *OF_MESSAGES, *OF_REMOVED_MESSAGES)
