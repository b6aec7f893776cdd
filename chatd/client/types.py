"""Answers, events, and the signatures of all commands. Generated: do not edit, run `make schema`."""

# ruff: noqa: E501
# fmt: off
from __future__ import annotations

from typing import Any, Literal, overload

from msgspec import field

from chatd.client.wire_base import Answer, Event, Part


class Action(Event, tag="action", kw_only=True, frozen=True):
    """A user has pressed a button of a message that this bot has sent. `data` is that of the button.

    It is sent again under the same `id` until the bot takes it, by bot.notify or bot.ack: handle each `id` once."""

    id: str
    conversation: str
    message: str
    user: str
    data: str
    at: int

class ActionAck(Answer, tag="message.action", kw_only=True, frozen=True):
    """The action is committed, and goes to the bot. `duplicate`: it had been committed before, and this repeats the
    first ack. An answer of the bot comes as `action.answer` with the same `action`."""

    client_id: str
    action: str
    at: int
    duplicate: bool

class ActionAnswer(Event, tag="action.answer", kw_only=True, frozen=True):
    """The bot has answered an action of the user. It is not stored. `alert`: show it until the user dismisses it."""

    action: str
    conversation: str
    message: str
    text: str
    alert: bool

class Argument(Part, kw_only=True, frozen=True):
    """An argument of a command. `choices`: the values of the type `choice`. Required arguments are before others."""

    name: str
    type: str
    description: dict[str, str] | None = None
    required: bool | None = None
    choices: list[str] | None = None

class Attachment(Part, kw_only=True, frozen=True):
    """`type`: image | video | audio | voice | file | link | location | contact. Fields that a type does not have are None."""

    type: str
    upload: str | None = None
    url: str | None = None
    mime: str | None = None
    size: int | None = None
    name: str | None | str | None = None
    width: int | None = None
    height: int | None = None
    thumbnail: str | None = None
    placeholder: str | None = None
    duration: float | None = None
    waveform: list[int] | None = None
    title: str | None = None
    description: str | None = None
    image: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    accuracy: float | None = None
    address: str | None = None
    phones: list[str] | None = None
    emails: list[str] | None = None

class AttachmentInput(Part, kw_only=True, frozen=True):
    """An attachment as a client names it.

    An `upload` may have a `type`, which otherwise follows from its MIME type. `voice` and `audio` accept any sound, MP4
    and WebM included; `file` accepts every upload. A `voice` may have a `waveform`, which is used if the server cannot
    decode the sound. A `link` has a `url` and may omit its type; `title`, `description` and `image` (a URL) are its
    preview, if the sender gives one. A `location` has `latitude` and `longitude`, and optionally `accuracy`, `name` and
    `address`. A `contact` has a `name`, and `phones` or `emails`. Other combinations are refused."""

    type: str | None = None
    upload: str | None = None
    waveform: list[int] | None = None
    url: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    accuracy: float | None = None
    name: str | None = None
    address: str | None = None
    phones: list[str] | None = None
    emails: list[str] | None = None
    title: str | None = None
    description: str | None = None
    image: str | None = None

class AuthRefreshed(Answer, tag="auth.refreshed", kw_only=True, frozen=True):
    """The connection is authenticated until `expires_at`."""

    expires_at: int

class Behind(Event, tag="behind", kw_only=True, frozen=True):
    """Events of this conversation were skipped. Call `conversation.sync` with the last `rev` that you have."""

    conversation: str
    rev: int

class Blocked(Part, kw_only=True, frozen=True):
    """A blocked user. `user` is the id by which they were blocked; an alias has no name."""

    user: str
    name: str | None
    created_at: int

class Blocks(Answer, tag="blocks", kw_only=True, frozen=True):
    """Blocked users, ordered by id. `cursor` is null on the last page."""

    items: list[Blocked]
    cursor: str | None

class BotCommand(Event, tag="bot.command", kw_only=True, frozen=True):
    """A user has sent a command for this bot. `text`: the whole message; `args`: the arguments by name, of the declared
    types.

    The message itself comes as `message.new`, with the same in its `command`. A bot that was not connected finds it
    there, by `conversation.sync`: handle each `message` once."""

    conversation: str
    message: str
    seq: int
    sender: str
    name: str
    args: dict[str, Any]
    text: str
    created_at: int

class Button(Part, kw_only=True, frozen=True):
    """A button of a message of a bot.

    `kind`: what a client does when it is pressed, absent for `press`. `style`: absent for `default`.

    `press`: it sends `data` with message.action, which goes to the bot; all members can read it. `url`: it opens `url`,
    after showing where that leads. `command`: it puts `command`, such as `/help`, into the input of the user. `copy`:
    it copies `text`. A button has the field of its kind and no other."""

    label: str
    kind: str | None = None
    data: str | None = None
    url: str | None = None
    command: str | None = None
    text: str | None = None
    style: str | None = None

class Changes(Answer, tag="changes", kw_only=True, frozen=True):
    """States of what changed, each list in the order of `rev`. After this answer everything up to `rev` is known.

    `departures`: users who are no longer members. `info`: the shared settings of the conversation, if they changed.
    `reset`: the conversation has not reached the requested `rev`, because the database was restored from a backup.
    Discard the known state; this answer starts from the beginning."""

    messages: list[Message]
    members: list[Member]
    departures: list[Departure]
    rev: int
    more: bool
    info: Info | None = None
    reset: bool

class Closed(Event, tag="closed", kw_only=True, frozen=True):
    """The session has ended: the last event of `GET /v1/events`, which has no close frames. `code`, `name` and `reason`
    are those of a close frame. `reconnect`: whether the client may come back."""

    code: int
    name: str
    reason: str
    reconnect: bool

class CommandCall(Part, kw_only=True, frozen=True):
    """A command of a message. `bot`: for whom it is. `args`: the arguments by name, of the types that the bot has
    declared; a user is an id."""

    bot: str
    name: str
    args: dict[str, str | int | float | bool]

class CommandList(Answer, tag="bot.commands", kw_only=True, frozen=True):
    """A page of commands. `cursor` is null on the last page."""

    items: list[OfferedCommand]
    cursor: str | None

class CommandRefused(Event, tag="error", kw_only=True, frozen=True):
    """The refusal of a command that was sent under id 0, with the fields of the result `error`.

    `command`: the `t` of the command, absent if it is unreadable or longer than 64 characters."""

    code: str
    message: str
    retryable: bool
    retry_after: float | None = None
    details: dict[str, Any] | None = None
    command: str | None = None

class Connected(Event, tag="connected", kw_only=True, frozen=True):
    """The first frame of every connection.

    `heartbeat`: after this many seconds without traffic the server sends a ping; after twice that time it closes the
    connection. `external_id`: the subject (`sub`) of the token, absent if it is the user id."""

    session: str
    user: str
    tenant: str
    server_time: int
    heartbeat: float
    expires_at: int
    limits: ConnectionLimits
    maintenance: bool
    external_id: str | None = None

class ConnectionLimits(Part, kw_only=True, frozen=True):
    """Limits of this connection. Sizes are in bytes, rates in commands per second."""

    max_message: int
    max_frames: int
    max_text: int
    commands_per_second: float
    commands_burst: int

class Contact(Part, kw_only=True, frozen=True):
    """A user on the list of contacts, and since when."""

    user: str
    name: str | None
    created_at: int

class ContactRequest(Part, kw_only=True, frozen=True):
    """A request of `user`, named by its conversation. `messages`: what they have written in a direct conversation, the
    first ten; files can be read once it is accepted."""

    conversation: str
    kind: str
    user: str
    name: str | None
    created_at: int
    title: str | None
    picture: str | None
    member_count: int
    messages: list[Message]

class ContactRequests(Answer, tag="requests", kw_only=True, frozen=True):
    """Requests, those of the latest conversations first. `cursor` is null on the last page."""

    items: list[ContactRequest]
    cursor: str | None

class Contacts(Answer, tag="contacts", kw_only=True, frozen=True):
    """Contacts, ordered by id. `cursor` is null on the last page."""

    items: list[Contact]
    cursor: str | None

class Conversation(Part, kw_only=True, frozen=True):
    """A conversation as one of its members sees it. `members` holds at most 50 of the `member_count` members."""

    title: str | None
    description: str | None
    picture: str | None
    announce: bool
    disappear: int
    keep_days: int | None
    slow_seconds: int
    joining: str
    history: str
    member_count: int
    requested: str | None
    id: str
    kind: str | None = None
    seq: int
    rev: int
    role: str | None = None
    alias: str | None = None
    first_seq: int | None = None
    joined_seq: int | None = None
    joined_rev: int | None = None
    read_seq: int | None = None
    delivered_seq: int | None = None
    unread: int | None = None
    mentions: int | None = None
    settings: Settings | None = None
    created_at: int | None = None
    members: list[Member] | None = None
    last_message: Message | None = None

class ConversationGone(Event, tag="conversation.gone", kw_only=True, frozen=True):
    """The conversation was dissolved. Clients that were offline find it in `gone` of session.sync."""

    conversation: str
    rev: int | None = None
    reason: str

class ConversationInfo(Answer, tag="conversation.info", kw_only=True, frozen=True):
    """The conversation as it is now."""

    conversation: Conversation

class ConversationResult(Answer, tag="conversation", kw_only=True, frozen=True):
    """A conversation as the requester sees it. `created`: the command has created it. `invited`: the users who were
    asked to join the group and are not members before they accept; absent if there are none."""

    conversation: Conversation
    created: bool
    invited: list[str] | None = None

class ConversationUpdate(Event, tag="conversation.update", kw_only=True, frozen=True):
    """A conversation is new for this user, or something other than its messages has changed.

    With `rev` it is a change in the order of the conversation, sent to all members; without `rev` it is for this user
    only."""

    conversation: Conversation
    rev: int | None = None

class Conversations(Answer, tag="conversations", kw_only=True, frozen=True):
    """A page of conversations. `cursor` is null on the last page."""

    items: list[Conversation]
    cursor: str | None

class Counters(Part, kw_only=True, frozen=True):
    """A conversation, and the position of one member in it.

    `unread`: messages of others after `read_seq`, up to 1000; `mentions`: those of them that mention this member or all
    members. `alias`: how this member is known in a match; absent elsewhere. The fields of one member, from `role` on,
    are absent in events for all members. Messages up to `joined_seq` and changes up to `joined_rev` are from before the
    membership."""

    title: str | None
    description: str | None
    picture: str | None
    announce: bool
    disappear: int
    keep_days: int | None
    slow_seconds: int
    joining: str
    history: str
    member_count: int
    requested: str | None
    id: str
    kind: str
    seq: int
    rev: int
    role: str | None = None
    alias: str | None = None
    first_seq: int | None = None
    joined_seq: int | None = None
    joined_rev: int | None = None
    read_seq: int | None = None
    delivered_seq: int | None = None
    unread: int | None = None
    mentions: int | None = None
    settings: Settings | None = None

class Declared(Part, kw_only=True, frozen=True):
    """A command of a bot. `scope`: where it is offered."""

    name: str
    description: dict[str, str]
    args: list[Argument] | None = None
    scope: str | None = None

class DeclaredCommands(Answer, tag="bot.declared", kw_only=True, frozen=True):
    """The commands that the bot has declared, in its order."""

    items: list[Declared]

class Departure(Part, kw_only=True, frozen=True):
    """A former member. `actor`: the user who removed them, or themselves; null if no user did."""

    user: str
    rev: int
    left_at: int
    actor: str | None

class DraftParts(Part, kw_only=True, frozen=True):
    """What a draft has besides its text: the fields of message.send. Attachments are as the client named them."""

    attachments: list[AttachmentInput] | None = None
    reply_to: str | None = None
    thread: str | None = None

class Edit(Part, kw_only=True, frozen=True):
    """The text of a message until the time `until`."""

    text: str | None
    until: int

class Edits(Answer, tag="message.edits", kw_only=True, frozen=True):
    """A page of earlier versions of a message. `cursor` is null on the last page."""

    items: list[Edit]
    cursor: str | None

class EndedLogins(Answer, tag="logins.ended", kw_only=True, frozen=True):
    """The ids of the logins that have ended now."""

    logins: list[str]

class Erased(Answer, tag="me.erased", kw_only=True, frozen=True):
    """The erasure has started. Signing in as this user is no longer possible."""


class Error(Answer, tag="error", kw_only=True, frozen=True):
    """A refusal; `code` is one of the table of refusals. `retry_after` is in seconds."""

    code: str
    message: str
    retryable: bool
    retry_after: float | None = None
    details: dict[str, Any] | None = None

class Forwarded(Answer, tag="message.forwarded", kw_only=True, frozen=True):
    """The forwarded message is committed. See message.ack."""

    client_id: str
    message: str
    seq: int
    rev: int
    created_at: int
    duplicate: bool
    status: str
    expires_at: int | None = None
    text: str | None = None

class ForwardedFrom(Part, kw_only=True, frozen=True):
    """The first sender of a forwarded message, and the time."""

    sender: str
    created_at: int

class FoundUsers(Answer, tag="user.results", kw_only=True, frozen=True):
    """A page of users, in alphabetical order of what was found. `cursor` is null on the last page."""

    items: list[User]
    cursor: str | None

class Info(Part, kw_only=True, frozen=True):
    """The settings of a conversation that all its members share.

    `announce`: only moderators and above may write. `disappear`: seconds after which a message disappears; 0: never.
    `keep_days`: days after which messages are deleted; null: the setting of the server. `joining`: who may join without
    being added. `history`: whether new members see earlier messages. `requested`: the user who has not accepted this
    direct conversation yet and is no member; null: it is accepted."""

    title: str | None
    description: str | None
    picture: str | None
    announce: bool
    disappear: int
    keep_days: int | None
    slow_seconds: int
    joining: str
    history: str
    member_count: int
    requested: str | None

class Invite(Part, kw_only=True, frozen=True):
    """An invite link, without its secret."""

    id: str
    creator: str
    created_at: int
    expires_at: int | None
    uses_left: int | None

class InviteCreated(Answer, tag="invite.created", kw_only=True, frozen=True):
    """The new link. `secret` is shown only this once."""

    invite: str
    secret: str
    expires_at: int | None

class Invited(Part, kw_only=True, frozen=True):
    """A user who was asked to join, by the member `by`."""

    user: str
    name: str | None
    by: str
    created_at: int

class InvitedUsers(Answer, tag="request.invited", kw_only=True, frozen=True):
    """Users who were asked to join, ordered by id. `cursor` is null on the last page."""

    items: list[Invited]
    cursor: str | None

class Invites(Answer, tag="invites", kw_only=True, frozen=True):
    """Invite links, the latest first."""

    items: list[Invite]

class JoinDeclined(Event, tag="join.declined", kw_only=True, frozen=True):
    """The request of this user to join was declined."""

    conversation: str
    user: str

class JoinRequested(Event, tag="join.requested", kw_only=True, frozen=True):
    """A user asks to join. Sent to the members who may approve it."""

    conversation: str
    user: str

class Joined(Answer, tag="conversation.joined", kw_only=True, frozen=True):
    """The joined group. It is null if a request was sent instead (`requested`): a member has to approve it."""

    conversation: Conversation | None
    requested: bool

class LabelCount(Part, kw_only=True, frozen=True):
    """A label, and the number of conversations that have it."""

    label: str
    conversations: int

class Labels(Answer, tag="labels", kw_only=True, frozen=True):
    """All labels of the requester, in the order of their characters."""

    items: list[LabelCount]

class LinkPreview(Part, kw_only=True, frozen=True):
    """What the page of the first link in a message says about itself. `url`: the link, as it is in the message.

    `image` is an address outside of this server: a client that loads it shows its own address to that server."""

    url: str
    title: str
    description: str | None = None
    site_name: str | None = None
    image: str | None = None

class Login(Part, kw_only=True, frozen=True):
    """A login of the user.

    `platform` as the client named it. `last_seen`: when its tokens were refreshed last; for a session at an identity
    provider the last sign-in, to the hour. `address`: the network that it was used from, an IPv4 /24 or an IPv6 /48;
    null if it is unknown."""

    id: str
    name: str | None
    platform: str | None
    created_at: int
    last_seen: int
    address: str | None

class LoginAdded(Event, tag="login.added", kw_only=True, frozen=True):
    """The user has signed in with another device, or once more."""

    login: Login

class LoginEnded(Event, tag="login.ended", kw_only=True, frozen=True):
    """Logins of the user have ended, by a command of the user or of an admin, or because a stolen refresh token was
    used."""

    logins: list[str]

class LoginState(Answer, tag="login", kw_only=True, frozen=True):
    """A login after a change."""

    login: Login

class LoginUpdated(Event, tag="login.updated", kw_only=True, frozen=True):
    """A login of the user has another name."""

    login: Login

class Logins(Answer, tag="logins", kw_only=True, frozen=True):
    """The logins of the user that have not ended.

    `current`: the login of this request or connection; null for a token that belongs to none."""

    items: list[Login]
    current: str | None

class MaintenanceMode(Event, tag="maintenance.mode", kw_only=True, frozen=True):
    """Maintenance mode begins or ends, or the server is about to stop. `retry_after`: when to reconnect, in seconds."""

    enabled: bool
    message: str
    retry_after: float | None = None

class Mark(Part, kw_only=True, frozen=True):
    """The requester's own marks on a message, as they are now."""

    conversation: str
    message: str
    seq: int
    starred_at: int | None
    hidden: bool

class MatchEnded(Event, tag="match.ended", kw_only=True, frozen=True):
    """The match has ended. Its conversation can no longer be read or written. `reason`: `left`, `skipped` or
    `disconnected`."""

    match: str
    reason: str

class MatchExpired(Event, tag="match.expired", kw_only=True, frozen=True):
    """Your search has ended: no partner was found, or you did not confirm."""

    ticket: str
    reason: str

class MatchFound(Event, tag="match.found", kw_only=True, frozen=True):
    """You are in a match, and can write to your partners in its conversation.

    `matched_on`: tags and attributes that all users of the match have in common. `relaxed`: which of your criteria
    `should` and `tags` the match does not satisfy. `partner` is the first of `partners`. Their ids are aliases, which
    replace the user ids in this match; `alias` is yours."""

    match: str
    conversation: str
    alias: str
    partner: Partner
    partners: list[Partner]
    matched_on: list[str]
    relaxed: list[str]
    waited_ms: int

class MatchKept(Event, tag="match.kept", kw_only=True, frozen=True):
    """All users voted to keep in touch: the match has ended, and its conversation stays with all of its messages.

    It becomes the direct conversation of the two users, or a group if they have one already or the match has more than
    two users."""

    match: str
    conversation: str

class MatchProposed(Event, tag="match.proposed", kw_only=True, frozen=True):
    """A partner was found. Send `match.confirm` within `expires_in` seconds. Only in queues that require
    confirmation."""

    match: str
    expires_in: float

class MatchQueued(Answer, tag="match.queued", kw_only=True, frozen=True):
    """The search is active.

    `waiting`: users in this queue, including you. `eta_ms`: how long the last matched users waited, if known."""

    ticket: str
    waiting: int
    eta_ms: int | None = None

class MatchRequeued(Event, tag="match.requeued", kw_only=True, frozen=True):
    """A proposed match was withdrawn: a partner did not confirm or left. Your search continues with its waiting
    time."""

    ticket: str
    reason: str

class Member(Part, kw_only=True, frozen=True):
    """A member of a conversation, with their receipts. `rev` is the number of the last change.

    A change of the profile (`name`, `handle`, `avatar`, `picture_url`) takes no `rev`; `profile_version` grows with it.
    In a match only the name is known. `bot`: a program; absent for people."""

    user: str
    name: str | None
    handle: str | None
    avatar: str | None
    picture_url: str | None
    profile_version: int
    role: str
    delivered_seq: int
    read_seq: int
    joined_at: int
    rev: int
    bot: bool | None = None

class MemberLeft(Event, tag="member.left", kw_only=True, frozen=True):
    """A user is no longer a member. The former member gets it as the last event of the conversation."""

    conversation: str
    rev: int
    departure: Departure

class MemberResult(Answer, tag="member", kw_only=True, frozen=True):
    """A member as they are now."""

    member: Member

class MemberUpdate(Event, tag="member.update", kw_only=True, frozen=True):
    """A user has become a member, or has another role."""

    conversation: str
    rev: int
    member: Member

class Members(Answer, tag="members", kw_only=True, frozen=True):
    """Members of a conversation. `cursor` is null on the last page. `invited`, in the answer to member.add: the users
    who were asked to join; absent if there are none."""

    items: list[Member]
    cursor: str | None
    invited: list[str] | None = None

class Message(Part, kw_only=True, frozen=True):
    """A message. `seq` is its place in the conversation, `rev` the number of its last change.

    A message with `deleted_at` is a tombstone: its place stays, its content is removed. A message with `system`
    describes what `sender` has done. A message with `thread` is a reply in the thread of that message, which has
    `replies`; a tombstone keeps both. `reactions`: the number of each emoji; `mine`: the reactions of the requester;
    `starred_at`: the star of the requester. `poll`: the options of a poll, whose question is `text`; `voted`: the
    options that the requester has chosen. Events for all members contain none of `mine`, `starred_at` and `voted`.
    `preview`: what the page of the first link says about itself. `command`: the message is a command for a bot.
    `concealed`: a bot gets only the place of this message, with the nil UUID as its sender and without any content.
    `actions`: rows of buttons, in messages of bots."""

    id: str
    seq: int
    rev: int
    sender: str
    client_id: str
    text: str | None
    attachments: list[Attachment]
    reply_to: str | None
    created_at: int
    meta: dict[str, Any] | None
    quote: Quote | None = None
    system: SystemAct | None = None
    mentions: list[str] | None = None
    mentions_everybody: bool | None = None
    forwarded: ForwardedFrom | None = None
    reactions: dict[str, int] | None = None
    mine: list[str] | None = None
    starred_at: int | None = None
    edited_at: int | None = None
    deleted_at: int | None = None
    expires_at: int | None = None
    pinned_at: int | None = None
    thread: str | None = None
    replies: Replies | None = None
    poll: Poll | None = None
    voted: list[int] | None = None
    preview: LinkPreview | None = None
    command: CommandCall | None = None
    concealed: bool | None = None
    actions: list[list[Button]] | None = None

class MessageAck(Answer, tag="message.ack", kw_only=True, frozen=True):
    """The message is committed. `duplicate`: it had been committed before, and this repeats the first ack.

    Acks and events of a conversation reach a connection in the order of `rev`, also after a `behind`. Only the `rev` of
    a duplicate may be lower than an earlier one. `expires_at`: when the message disappears. `text`: the stored text, if
    a filter has changed it. Neither comes with a duplicate."""

    client_id: str
    message: str
    seq: int
    rev: int
    created_at: int
    duplicate: bool
    status: str
    expires_at: int | None = None
    text: str | None = None

class MessageDelivered(Event, tag="message.delivered", kw_only=True, frozen=True):
    """A member has received all messages up to `seq`.

    It is not sent in groups of more than `messages.receipts_up_to` members, nor in a direct conversation with a block."""

    conversation: str
    user: str
    seq: int
    rev: int

class MessageNew(Event, tag="message.new", kw_only=True, frozen=True):
    """A message was committed. Sent to every session of every member except the one that sent it."""

    conversation: str
    rev: int
    message: Message

class MessageRead(Event, tag="message.read", kw_only=True, frozen=True):
    """A member has read all messages up to `seq`. `unread` counts the unread messages of that member, up to 1000;
    `mentions` is a part of it.

    `delivered`: the last received message, if it is later than `seq`. It is not sent in groups of more than
    `messages.receipts_up_to` members, nor in a direct conversation with a block; the other devices of the member get
    `conversation.update`."""

    conversation: str
    user: str
    seq: int
    rev: int
    unread: int | None = None
    mentions: int | None = None
    delivered: int | None = None

class MessageResult(Answer, tag="message", kw_only=True, frozen=True):
    """A message as it is now."""

    message: Message

class MessageUpdate(Event, tag="message.update", kw_only=True, frozen=True):
    """A message has changed; `message` is its new state. `change` is the reason, `by` the user who has changed it, if
    any.

    `emoji` comes with a reaction. `on`: whether the reaction or the pin was added or removed. A vote in an anonymous
    poll comes without `by`. `close`: the poll has ended. `preview`: that of the first link was added, replaced or
    removed. `actions`: a bot has changed the buttons only."""

    conversation: str
    rev: int
    message: Message
    change: str | None = None
    by: str | None = None
    emoji: str | None = None
    on: bool | None = None

class Messages(Answer, tag="messages", kw_only=True, frozen=True):
    """A page of messages. `more`: there are further messages in the requested direction."""

    items: list[Message]
    more: bool

class OfferedArgument(Part, kw_only=True, frozen=True):
    """An argument of a command. `choices`: the values of the type `choice`."""

    name: str
    type: str
    description: str
    required: bool
    choices: list[str]

class OfferedCommand(Part, kw_only=True, frozen=True):
    """A command that a bot offers. `text`: how a message with it begins; it names the bot if several bots have a
    command of this name."""

    bot: str
    handle: str | None
    bot_name: str | None
    name: str
    text: str
    description: str
    args: list[OfferedArgument]

class Ok(Answer, tag="ok", kw_only=True, frozen=True):
    """The command succeeded. `ticket`: in the answer to `match.skip`, the ticket of the new search."""

    ticket: str | None = None

class OwnConversation(Answer, tag="conversation.settings", kw_only=True, frozen=True):
    """The conversation as the requester sees it now."""

    conversation: Conversation

class Partner(Part, kw_only=True, frozen=True):
    """Another user of your match. `id` is their alias, which is valid in this match."""

    id: str
    name: str | None
    attributes: dict[str, Any]

class PendingAction(Part, kw_only=True, frozen=True):
    """The content of an event `action` that the bot has not taken."""

    id: str
    conversation: str
    message: str
    user: str
    data: str
    at: int

class PendingActions(Answer, tag="bot.actions", kw_only=True, frozen=True):
    """Actions that the bot has not taken. `cursor` is null on the last page."""

    items: list[PendingAction]
    cursor: str | None

class Pins(Answer, tag="message.pins", kw_only=True, frozen=True):
    """Pinned messages, the latest pin first."""

    items: list[Message]

class Poll(Part, kw_only=True, frozen=True):
    """The options of a poll. Votes name an option by its index, which begins at 0.

    `voters`: the number of users who have voted, which in a poll of multiple choice is less than that of the votes.
    `closes_at`: when the poll ends. `closed_at`: when it has ended; then nobody can vote. `anonymous`: nobody can see
    who has voted for what."""

    options: list[PollOption]
    multiple: bool
    anonymous: bool
    voters: int
    closes_at: int | None = None
    closed_at: int | None = None

class PollAck(Answer, tag="poll.ack", kw_only=True, frozen=True):
    """The poll is committed. See message.ack. `options`: the stored options, if a filter has changed one."""

    client_id: str
    message: str
    seq: int
    rev: int
    created_at: int
    duplicate: bool
    status: str
    expires_at: int | None = None
    text: str | None = None
    options: list[str] | None = None

class PollOption(Part, kw_only=True, frozen=True):
    """An option of a poll, and the number of its votes."""

    text: str
    votes: int

class PollVoted(Event, tag="poll.voted", kw_only=True, frozen=True):
    """The user has voted in a poll with another device. `options`: their vote as it is now, empty if it was removed.

    `vote_rev`: the `rev` of the message with this vote. Drop the event if you have a later vote of the user. The new
    counts come as `message.update`."""

    conversation: str
    message: str
    options: list[int]
    vote_rev: int

class Pong(Answer, tag="pong", kw_only=True, frozen=True):
    """The answer to `ping`."""

    ts: int
    server_time: int

class PresenceCount(Answer, tag="presence.count", kw_only=True, frozen=True):
    """The counts of a conversation. `online`: members who are online or away and visible to you; in large groups,
    visible to everybody."""

    online: int
    members: int

class PresenceState(Part, kw_only=True, frozen=True):
    """The presence of a user.

    `last_seen` is null if the user is online or away, or if it is unknown. Users whose presence you may not see are
    `offline`, without `last_seen`."""

    user: str
    status: str
    last_seen: int | None

class PresenceStates(Answer, tag="presence.states", kw_only=True, frozen=True):
    """One item for each user, in the order of the request."""

    items: list[PresenceState]

class PresenceUpdate(Event, tag="presence.update", kw_only=True, frozen=True):
    """The presence of a user to whom this session is subscribed (`presence.watch`) has changed.

    At most once per second and user."""

    user: str
    status: str
    last_seen: int | None

class Preview(Answer, tag="invite.preview", kw_only=True, frozen=True):
    """A group as a user with an invite link sees it. `asks`: a member has to approve each request to join."""

    conversation: str
    title: str | None
    description: str | None
    picture: str | None
    member_count: int
    asks: bool

class Quiet(Part, kw_only=True, frozen=True):
    """The hours without notifications, from and to as "22:30", in a time zone such as Europe/Berlin. If `to` is before
    `from`, it is on the next day."""

    from_: str = field(name="from")
    to: str
    zone: str

class Quote(Part, kw_only=True, frozen=True):
    """An excerpt of the message that a message replies to, as it is now: if it changes, so does every quote of it.
    `text`: its first 200 characters.

    It is absent if the requester may not see the message or has hidden it, and in events if another member may not see
    it."""

    message: str
    seq: int
    sender: str
    text: str | None
    deleted: bool

class Reactions(Answer, tag="reactions", kw_only=True, frozen=True):
    """Users with their reactions, ordered by id. `cursor` is null on the last page."""

    items: list[Reactor]
    cursor: str | None

class Reactor(Part, kw_only=True, frozen=True):
    """A user with their reactions to a message, the earliest first."""

    user: str
    name: str | None
    emoji: list[str]

class ReceiptCounts(Part, kw_only=True, frozen=True):
    """Of the `members` that received the message, how many have read it, and how many have it delivered but not
    read."""

    members: int
    read: int
    delivered: int

class Receipts(Answer, tag="message.receipts", kw_only=True, frozen=True):
    """The recipients who have read a message, and those who have it delivered but not read, ordered by id. `counts`
    covers all of them.

    The recipients are the members at the time of sending, except the sender. `cursor` is null on the last page."""

    read: list[Recipient]
    delivered: list[Recipient]
    counts: ReceiptCounts
    cursor: str | None

class Recipient(Part, kw_only=True, frozen=True):
    """A recipient of a message."""

    user: str
    name: str | None

class Replies(Part, kw_only=True, frozen=True):
    """The replies in the thread of a message, without deleted ones. `last_seq` and `last_at` are those of the last one.

    `participants`: up to 10 of the users who have sent them, by their first reply."""

    count: int
    last_seq: int
    last_at: int
    participants: list[str]

class ReportMade(Answer, tag="report", kw_only=True, frozen=True):
    """The report is stored for the admins."""

    report: str

class Request(Part, kw_only=True, frozen=True):
    """A request to join."""

    user: str
    name: str | None
    text: str | None
    created_at: int

class RequestAccepted(Answer, tag="request.accepted", kw_only=True, frozen=True):
    """The conversation of which the requester is a member now."""

    conversation: Conversation

class RequestNew(Event, tag="request.new", kw_only=True, frozen=True):
    """A user asks the requester to accept a direct conversation, or to join a group. There is no other event before
    the answer: call request.list for its messages."""

    conversation: str
    kind: str
    user: str

class Requests(Answer, tag="join.requests", kw_only=True, frozen=True):
    """Requests to join, the earliest first, at most 200."""

    items: list[Request]

class ScheduleFailed(Event, tag="schedule.failed", kw_only=True, frozen=True):
    """A scheduled message was refused when it was due; `code` is the code of the refusal. `schedule.edit` tries it
    again."""

    id: str
    conversation: str
    client_id: str
    code: str

class ScheduleResult(Answer, tag="schedule.edit", kw_only=True, frozen=True):
    """The scheduled message as it is now."""

    scheduled: ScheduledMessage

class Scheduled(Answer, tag="message.scheduled", kw_only=True, frozen=True):
    """The message will be sent at the time `at`, or as soon after it as the server runs."""

    id: str
    at: int

class ScheduledMessage(Part, kw_only=True, frozen=True):
    """A message that will be sent at the time `at`, with its attachments as the client named them.

    `failed`: the code of the refusal at that time; null while it waits."""

    id: str
    conversation: str
    client_id: str
    text: str | None
    attachments: list[AttachmentInput]
    reply_to: str | None
    meta: dict[str, Any] | None
    mentions: list[str]
    everybody: bool
    at: int
    failed: str | None
    created_at: int
    thread: str | None = None

class ScheduledMessages(Answer, tag="schedule.list", kw_only=True, frozen=True):
    """Scheduled messages, in the order in which they were scheduled. `cursor` is null on the last page."""

    items: list[ScheduledMessage]
    cursor: str | None

class SearchHit(Part, kw_only=True, frozen=True):
    """A message, and the matching ranges of its text: [from, to) in code points."""

    conversation: str
    message: Message
    highlights: list[list[int]]

class SearchResults(Answer, tag="search.results", kw_only=True, frozen=True):
    """A page of results. `cursor` is null on the last page; other pages may contain fewer results than `limit`, or
    none."""

    items: list[SearchHit]
    cursor: str | None

class SessionBehind(Event, tag="session.behind", kw_only=True, frozen=True):
    """Profile, settings, stars, drafts or blocks of the user may have changed on another device, or profiles of
    others: events may be missing. Call `session.sync`, and query the profiles that you show."""


class SessionState(Answer, tag="session.state", kw_only=True, frozen=True):
    """States of conversations. Keep `cursor` for the next call.

    `gone`: conversations of which the requester is no longer a member. `marks`: messages that the requester has
    starred, hidden, or unmarked; of more than 1000 some are left out: see message.starred. `threads`: threads that the
    requester has followed, unfollowed or read; absent if there are none. All of them are in thread.list. `own`:
    profile, settings, blocks, contacts, requests or scheduled messages of the requester may have changed: call me.get,
    user.settings.get, block.list, contact.list, request.list and schedule.list.

    `reset`: `cursor` is from before a restore of the database. Discard the known state of every conversation, whatever
    its rev: messages may be missing, and their numbers may belong to others. Conversations on no page of this sync no
    longer exist."""

    conversations: list[Counters]
    gone: list[str]
    marks: list[Mark]
    own: bool
    reset: bool
    cursor: str
    more: bool
    threads: list[ThreadMark] | None = None

class Settings(Part, kw_only=True, frozen=True):
    """The settings of one member for a conversation. Only the devices of the member get them.

    `hidden` ends with the next message. `muted_until`: in milliseconds; 2^53-1: forever. `notify` null: the setting for
    all conversations. `labels`, `draft_parts`: absent if there are none."""

    muted_until: int | None
    archived: bool
    pinned_at: int | None
    hidden: bool
    draft: str | None
    draft_at: int | None
    notify: str | None
    labels: list[str] | None = None
    draft_parts: DraftParts | None = None

class SignedUrl(Part, kw_only=True, frozen=True):
    """URLs of one upload that need no token. `thumbnail` is null if there is none."""

    upload: str
    url: str
    thumbnail: str | None

class SignedUrls(Answer, tag="signed_urls", kw_only=True, frozen=True):
    """URLs that are valid until `expires_at`, in the order of the uploads that you named."""

    items: list[SignedUrl]
    expires_at: int

class Starred(Part, kw_only=True, frozen=True):
    """A starred message and its conversation."""

    conversation: str
    message: Message

class StarredMessages(Answer, tag="message.starred", kw_only=True, frozen=True):
    """A page of starred messages. `cursor` is null on the last page."""

    items: list[Starred]
    cursor: str | None

class SystemAct(Part, kw_only=True, frozen=True):
    """The content of a message with `system`; its `sender` has done it.

    `users`: the affected users, the first 20 of `count`. `role`: the new role, with `member.role`. `message`: with
    `message.pinned`. The other fields come with `conversation.edited`: the changed settings, as they are now."""

    act: str
    users: list[str] | None = None
    count: int | None = None
    role: str | None = None
    message: str | None = None
    title: str | None = None
    picture: str | None = None
    announce: bool | None = None
    disappear: int | None = None
    keep_days: int | None = None

class Thread(Part, kw_only=True, frozen=True):
    """A thread as the requester sees it. `thread` is its root.

    `unread`: replies of others after `read_seq`, up to 1000, in a thread that the requester follows."""

    conversation: str
    thread: Message
    following: bool
    read_seq: int
    unread: int

class ThreadMark(Part, kw_only=True, frozen=True):
    """Whether the requester follows a thread, and the reply up to which they have read it. `thread` is its root."""

    conversation: str
    thread: str
    following: bool
    read_seq: int

class ThreadResult(Answer, tag="thread", kw_only=True, frozen=True):
    """A thread as it is now."""

    thread: Thread

class ThreadUpdate(Event, tag="thread.update", kw_only=True, frozen=True):
    """A thread has new replies, or some were deleted. `thread` is its root, of which `rev` and `replies` are the new
    state; null: none is left."""

    conversation: str
    rev: int
    thread: str
    replies: Replies | None

class Threads(Answer, tag="threads", kw_only=True, frozen=True):
    """A page of threads. `cursor` is null on the last page."""

    items: list[Thread]
    cursor: str | None

class Ticket(Answer, tag="auth.ticket", kw_only=True, frozen=True):
    """Connect once with `?ticket=` within `expires_in` seconds."""

    ticket: str
    expires_in: int

class TokenExpiring(Event, tag="token.expiring", kw_only=True, frozen=True):
    """The access token expires within a minute. Send `auth.refresh` with a new one, or the connection is closed with
    4001."""

    expires_at: int

class TypingStarted(Event, tag="typing.start", kw_only=True, frozen=True):
    """A member is typing. It ends after `expires_in` seconds, and when a message of theirs arrives."""

    conversation: str
    user: str
    expires_in: int

class TypingStopped(Event, tag="typing.stop", kw_only=True, frozen=True):
    """A member has stopped typing, or the connection that they typed on has ended."""

    conversation: str
    user: str
    expires_in: int

class Unread(Part, kw_only=True, frozen=True):
    """Unread messages of others in conversations that are neither muted nor archived, the number of these
    conversations, and the unread mentions in all conversations."""

    unread: int
    conversations: int
    mentions: int

class UnreadTotal(Answer, tag="unread.total", kw_only=True, frozen=True):
    """The counts. A conversation counts for at most 1000 messages, and only the 200 most recently active unread
    conversations count."""

    total: Unread

class Upload(Answer, tag="upload", kw_only=True, frozen=True):
    """A stored file. Its owner and the members of conversations that use it can download it from `url`.

    What is unknown is null: `width` and `height` are known of images and of most videos, `duration` of most sounds and
    videos, `placeholder` of images, `waveform` of sounds that the server can decode. An image that is larger than its
    `thumbnail` has one."""

    id: str
    url: str
    key: str
    mime: str
    size: int
    name: str | None
    width: int | None
    height: int | None
    duration: float | None
    thumbnail: str | None
    placeholder: str | None
    waveform: list[int] | None
    created_at: int

class User(Part, kw_only=True, frozen=True):
    """A user. `profile_version` grows with each change: keep the profile with the highest one.

    `avatar`: an uploaded image; `picture_url`: the picture that the tokens of the app's backend name. In a match, `id`
    is the alias and only `name` is known. `status_text` and `profile` are absent in events and in results of a search.
    `deleted`: the account was deleted; else absent. `bot`: a program; absent for people. The fields after it are in the
    user's own profile only; `external_id` and `roles` are from the tokens of the app's backend."""

    id: str
    name: str | None
    handle: str | None
    avatar: str | None
    picture_url: str | None
    profile_version: int
    status_text: str | None = None
    profile: dict[str, Any] | None = None
    deleted: bool | None = None
    bot: bool | None = None
    locale: str | None = None
    time_zone: str | None = None
    external_id: str | None = None
    roles: list[str] | None = None

class UserResult(Answer, tag="user", kw_only=True, frozen=True):
    """A user."""

    user: User

class UserSettings(Answer, tag="user.settings", kw_only=True, frozen=True):
    """The settings of the requester for notifications, presence and consent. Contacts are the users the requester has
    made contacts (contact.add), has accepted a request of, has kept a match with, or started a direct conversation with
    or replied to in one."""

    notify: str
    quiet: Quiet | None
    show_presence: str
    allow_messages: str
    allow_groups: str
    allow_calls: str

class UserUpdated(Event, tag="user.updated", kw_only=True, frozen=True):
    """The profile of a user has changed: your own, on another device, or that of a member of your conversations.

    Changes of one user in quick succession are one event. It may be missing, or come twice: `profile_version` tells
    which profile is the newer one. Of other users it does not contain the status and the profile."""

    user: User

class Users(Answer, tag="users", kw_only=True, frozen=True):
    """Users, in the order of the request. `unknown`: ids that belong to no user.

    After the database was restored from a backup, `changed_since` leaves out nobody."""

    items: list[User]
    unknown: list[str]
    cursor: str

class Voter(Part, kw_only=True, frozen=True):
    """A user who has voted."""

    user: str
    name: str | None

class Voters(Answer, tag="poll.voters", kw_only=True, frozen=True):
    """Users who have chosen an option, ordered by id. `cursor` is null on the last page."""

    items: list[Voter]
    cursor: str | None

class Calls:
    """All commands, with their fields and the types of their answers."""

    @overload
    async def call(self, command: Literal["auth.logout"], *, everywhere: bool | None = None) -> Ok: ...

    @overload
    async def call(self, command: Literal["auth.refresh"], *, token: str) -> AuthRefreshed: ...

    @overload
    async def call(self, command: Literal["auth.ticket"]) -> Ticket: ...

    @overload
    async def call(self, command: Literal["block.list"], *, cursor: str | None = None, limit: int | None = None) -> Blocks: ...

    @overload
    async def call(self, command: Literal["bot.ack"], *, actions: list[str]) -> Ok: ...

    @overload
    async def call(self, command: Literal["bot.actions"], *, cursor: str | None = None, limit: int | None = None) -> PendingActions: ...

    @overload
    async def call(self, command: Literal["bot.commands"], *, conversation: str, prefix: str | None = None, locale: str | None = None, cursor: str | None = None, limit: int | None = None) -> CommandList: ...

    @overload
    async def call(self, command: Literal["bot.commands.get"]) -> DeclaredCommands: ...

    @overload
    async def call(self, command: Literal["bot.commands.set"], *, commands: list[dict[str, Any]]) -> DeclaredCommands: ...

    @overload
    async def call(self, command: Literal["bot.notify"], *, action: str, text: str, alert: bool | None = None) -> Ok: ...

    @overload
    async def call(self, command: Literal["contact.add"], *, user: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["contact.list"], *, cursor: str | None = None, limit: int | None = None) -> Contacts: ...

    @overload
    async def call(self, command: Literal["contact.remove"], *, user: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["conversation.create"], *, members: list[str], title: str | None = None) -> ConversationResult: ...

    @overload
    async def call(self, command: Literal["conversation.dissolve"], *, conversation: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["conversation.edit"], *, conversation: str, title: str | None = None, description: str | None = None, picture: str | None = None, announce: bool | None = None, disappear: int | None = None, joining: Literal['closed', 'invite', 'open', 'request'] | None = None, history: Literal['all', 'joined'] | None = None, keep_days: int | None = None, slow_seconds: int | None = None) -> ConversationInfo: ...

    @overload
    async def call(self, command: Literal["conversation.get"], *, conversation: str) -> ConversationResult: ...

    @overload
    async def call(self, command: Literal["conversation.join"], *, conversation: str | None = None, secret: str | None = None, text: str | None = None) -> Joined: ...

    @overload
    async def call(self, command: Literal["conversation.leave"], *, conversation: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["conversation.list"], *, cursor: str | None = None, limit: int | None = None, order: Literal['active', 'pinned'] | None = None, kind: Literal['direct', 'group', 'match'] | None = None, archived: bool | None = None, hidden: bool | None = None, unread: bool | None = None, label: str | None = None) -> Conversations: ...

    @overload
    async def call(self, command: Literal["conversation.open"], *, user: str) -> ConversationResult: ...

    @overload
    async def call(self, command: Literal["conversation.settings"], *, conversation: str, muted_until: int | None = None, archived: bool | None = None, pinned: bool | None = None, hidden: bool | None = None, draft: str | None = None, notify: Literal['all', 'mentions', 'none'] | Literal[''] | None = None, labels: list[str] | None = None, draft_parts: dict[str, Any] | None = None) -> OwnConversation: ...

    @overload
    async def call(self, command: Literal["conversation.sync"], *, conversation: str, rev: int, limit: int | None = None) -> Changes: ...

    @overload
    async def call(self, command: Literal["conversation.transfer"], *, conversation: str, user: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["invite.create"], *, conversation: str, expires_in: int | None = None, uses: int | None = None) -> InviteCreated: ...

    @overload
    async def call(self, command: Literal["invite.list"], *, conversation: str) -> Invites: ...

    @overload
    async def call(self, command: Literal["invite.revoke"], *, conversation: str, invite: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["invite.show"], *, secret: str) -> Preview: ...

    @overload
    async def call(self, command: Literal["join.decide"], *, conversation: str, user: str, approve: bool) -> Ok: ...

    @overload
    async def call(self, command: Literal["join.list"], *, conversation: str) -> Requests: ...

    @overload
    async def call(self, command: Literal["label.list"]) -> Labels: ...

    @overload
    async def call(self, command: Literal["label.rename"], *, label: str, to: str) -> Labels: ...

    @overload
    async def call(self, command: Literal["login.end"], *, login: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["login.end_others"]) -> EndedLogins: ...

    @overload
    async def call(self, command: Literal["login.list"]) -> Logins: ...

    @overload
    async def call(self, command: Literal["login.rename"], *, login: str, name: str) -> LoginState: ...

    @overload
    async def call(self, command: Literal["match.cancel"], *, ticket: str | None = None) -> Ok: ...

    @overload
    async def call(self, command: Literal["match.confirm"], *, match: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["match.find"], *, queue: str | None = None, tags: list[str] | None = None, attributes: dict[str, bool | int | float | str] | None = None, accept: dict[str, Any] | None = None) -> MatchQueued: ...

    @overload
    async def call(self, command: Literal["match.keep"]) -> Ok: ...

    @overload
    async def call(self, command: Literal["match.leave"], *, ticket: str | None = None) -> Ok: ...

    @overload
    async def call(self, command: Literal["match.skip"], *, ticket: str | None = None) -> Ok: ...

    @overload
    async def call(self, command: Literal["match.status"]) -> MatchQueued: ...

    @overload
    async def call(self, command: Literal["me.erase"], *, confirm: Literal[True]) -> Erased: ...

    @overload
    async def call(self, command: Literal["me.get"]) -> UserResult: ...

    @overload
    async def call(self, command: Literal["member.add"], *, conversation: str, users: list[str]) -> Members: ...

    @overload
    async def call(self, command: Literal["member.list"], *, conversation: str, cursor: str | None = None, limit: int | None = None) -> Members: ...

    @overload
    async def call(self, command: Literal["member.remove"], *, conversation: str, user: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["member.role"], *, conversation: str, user: str, role: Literal['admin', 'member', 'moderator']) -> MemberResult: ...

    @overload
    async def call(self, command: Literal["message.action"], *, conversation: str, message: str, action: str, client_id: str) -> ActionAck: ...

    @overload
    async def call(self, command: Literal["message.delete"], *, conversation: str, message: str, scope: Literal['all', 'me'] | None = None) -> Ok: ...

    @overload
    async def call(self, command: Literal["message.edit"], *, conversation: str, message: str, text: str | None = None, mentions: list[str] | None = None, everybody: bool | None = None, actions: list[list[dict[str, Any]]] | None = None) -> MessageResult: ...

    @overload
    async def call(self, command: Literal["message.edits"], *, conversation: str, message: str, cursor: str | None = None, limit: int | None = None) -> Edits: ...

    @overload
    async def call(self, command: Literal["message.forward"], *, conversation: str, client_id: str, source: str, message: str) -> Forwarded: ...

    @overload
    async def call(self, command: Literal["message.history"], *, conversation: str, before: int | None = None, after: int | None = None, limit: int | None = None) -> Messages: ...

    @overload
    async def call(self, command: Literal["message.pin"], *, conversation: str, message: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["message.pins"], *, conversation: str) -> Pins: ...

    @overload
    async def call(self, command: Literal["message.receipts"], *, conversation: str, message: str, cursor: str | None = None, limit: int | None = None) -> Receipts: ...

    @overload
    async def call(self, command: Literal["message.schedule"], *, conversation: str, client_id: str, text: str | None = None, attachments: list[dict[str, Any]] | None = None, reply_to: str | None = None, meta: dict[str, Any] | None = None, mentions: list[str] | None = None, everybody: bool | None = None, thread: str | None = None, at: int) -> Scheduled: ...

    @overload
    async def call(self, command: Literal["message.search"], *, query: str | None = None, conversation: str | None = None, sender: str | None = None, before: int | None = None, after: int | None = None, has: Literal['file', 'image', 'link'] | None = None, cursor: str | None = None, limit: int | None = None) -> SearchResults: ...

    @overload
    async def call(self, command: Literal["message.send"], *, conversation: str, client_id: str, text: str | None = None, attachments: list[dict[str, Any]] | None = None, reply_to: str | None = None, meta: dict[str, Any] | None = None, mentions: list[str] | None = None, everybody: bool | None = None, thread: str | None = None, actions: list[list[dict[str, Any]]] | None = None) -> MessageAck: ...

    @overload
    async def call(self, command: Literal["message.star"], *, conversation: str, message: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["message.starred"], *, cursor: str | None = None, limit: int | None = None) -> StarredMessages: ...

    @overload
    async def call(self, command: Literal["message.unpin"], *, conversation: str, message: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["message.unstar"], *, conversation: str, message: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["ping"], *, ts: int) -> Pong: ...

    @overload
    async def call(self, command: Literal["poll.close"], *, conversation: str, message: str) -> MessageResult: ...

    @overload
    async def call(self, command: Literal["poll.create"], *, conversation: str, client_id: str, question: str, options: list[str], multiple: bool | None = None, anonymous: bool | None = None, closes_at: int | None = None) -> PollAck: ...

    @overload
    async def call(self, command: Literal["poll.vote"], *, conversation: str, message: str, options: list[int]) -> MessageResult: ...

    @overload
    async def call(self, command: Literal["poll.voters"], *, conversation: str, message: str, option: int, cursor: str | None = None, limit: int | None = None) -> Voters: ...

    @overload
    async def call(self, command: Literal["presence.count"], *, conversation: str) -> PresenceCount: ...

    @overload
    async def call(self, command: Literal["presence.query"], *, users: list[str]) -> PresenceStates: ...

    @overload
    async def call(self, command: Literal["presence.set"], *, status: Literal['away', 'online']) -> Ok: ...

    @overload
    async def call(self, command: Literal["presence.watch"], *, users: list[str]) -> PresenceStates: ...

    @overload
    async def call(self, command: Literal["reaction.add"], *, conversation: str, message: str, emoji: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["reaction.list"], *, conversation: str, message: str, emoji: str | None = None, cursor: str | None = None, limit: int | None = None) -> Reactions: ...

    @overload
    async def call(self, command: Literal["reaction.remove"], *, conversation: str, message: str, emoji: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["receipt.delivered"], *, conversation: str, seq: int) -> Ok: ...

    @overload
    async def call(self, command: Literal["receipt.read"], *, conversation: str, seq: int) -> Ok: ...

    @overload
    async def call(self, command: Literal["report.create"], *, reason: str, user: str | None = None, conversation: str | None = None, message: str | None = None, text: str | None = None, picture: str | None = None) -> ReportMade: ...

    @overload
    async def call(self, command: Literal["request.accept"], *, conversation: str) -> RequestAccepted: ...

    @overload
    async def call(self, command: Literal["request.block"], *, conversation: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["request.decline"], *, conversation: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["request.invited"], *, conversation: str, cursor: str | None = None, limit: int | None = None) -> InvitedUsers: ...

    @overload
    async def call(self, command: Literal["request.list"], *, cursor: str | None = None, limit: int | None = None, declined: bool | None = None) -> ContactRequests: ...

    @overload
    async def call(self, command: Literal["request.withdraw"], *, conversation: str, user: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["schedule.cancel"], *, id: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["schedule.edit"], *, id: str, text: str | None = None, at: int | None = None) -> ScheduleResult: ...

    @overload
    async def call(self, command: Literal["schedule.list"], *, cursor: str | None = None, limit: int | None = None) -> ScheduledMessages: ...

    @overload
    async def call(self, command: Literal["session.sync"], *, cursor: str | None = None, limit: int | None = None) -> SessionState: ...

    @overload
    async def call(self, command: Literal["thread.follow"], *, conversation: str, thread: str) -> ThreadResult: ...

    @overload
    async def call(self, command: Literal["thread.history"], *, conversation: str, thread: str, before: int | None = None, after: int | None = None, limit: int | None = None) -> Messages: ...

    @overload
    async def call(self, command: Literal["thread.list"], *, cursor: str | None = None, limit: int | None = None, unread: bool | None = None) -> Threads: ...

    @overload
    async def call(self, command: Literal["thread.read"], *, conversation: str, thread: str, seq: int) -> ThreadResult: ...

    @overload
    async def call(self, command: Literal["thread.unfollow"], *, conversation: str, thread: str) -> ThreadResult: ...

    @overload
    async def call(self, command: Literal["typing.start"], *, conversation: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["typing.stop"], *, conversation: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["unread.total"]) -> UnreadTotal: ...

    @overload
    async def call(self, command: Literal["upload.delete"], *, upload: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["upload.info"], *, upload: str) -> Upload: ...

    @overload
    async def call(self, command: Literal["upload.sign"], *, uploads: list[str]) -> SignedUrls: ...

    @overload
    async def call(self, command: Literal["user.block"], *, user: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["user.get"], *, user: str) -> UserResult: ...

    @overload
    async def call(self, command: Literal["user.query"], *, users: list[str], changed_since: str | None = None) -> Users: ...

    @overload
    async def call(self, command: Literal["user.search"], *, query: str, cursor: str | None = None, limit: int | None = None) -> FoundUsers: ...

    @overload
    async def call(self, command: Literal["user.settings"], *, notify: Literal['all', 'mentions', 'none'] | None = None, quiet: dict[str, Any] | None = None, loud: bool | None = None, show_presence: Literal['contacts', 'everybody', 'nobody'] | None = None, allow_messages: Literal['contacts', 'everybody', 'nobody'] | None = None, allow_groups: Literal['contacts', 'everybody', 'nobody'] | None = None, allow_calls: Literal['contacts', 'everybody', 'nobody'] | None = None) -> UserSettings: ...

    @overload
    async def call(self, command: Literal["user.settings.get"]) -> UserSettings: ...

    @overload
    async def call(self, command: Literal["user.unblock"], *, user: str) -> Ok: ...

    @overload
    async def call(self, command: Literal["user.update"], *, name: str | None = None, handle: str | None = None, avatar: str | None = None, status_text: str | None = None, profile: dict[str, Any] | None = None, locale: str | None = None, time_zone: str | None = None) -> UserResult: ...

    async def call(self, command: str, **fields: Any) -> Any:
        """Send a command. Fields that are None are omitted.

        Raises Refused, or Disconnected if the connection ends before the answer arrives.
        """
        return await self.request(command, given(fields))

    async def request(self, command: str, fields: dict[str, Any]) -> Any:
        """Send a command and wait for its answer."""
        raise NotImplementedError

    @overload
    async def notify(self, command: Literal["presence.count"], *, conversation: str) -> None: ...

    @overload
    async def notify(self, command: Literal["presence.query"], *, users: list[str]) -> None: ...

    @overload
    async def notify(self, command: Literal["presence.set"], *, status: Literal['away', 'online']) -> None: ...

    @overload
    async def notify(self, command: Literal["presence.watch"], *, users: list[str]) -> None: ...

    @overload
    async def notify(self, command: Literal["receipt.delivered"], *, conversation: str, seq: int) -> None: ...

    @overload
    async def notify(self, command: Literal["receipt.read"], *, conversation: str, seq: int) -> None: ...

    @overload
    async def notify(self, command: Literal["typing.start"], *, conversation: str) -> None: ...

    @overload
    async def notify(self, command: Literal["typing.stop"], *, conversation: str) -> None: ...

    async def notify(self, command: str, **fields: Any) -> None:
        """Send a command that is not answered. Fields that are None are omitted.

        A refusal of the server is an event CommandRefused. Raises Refused for a command that is too large, or
        Disconnected.
        """
        await self.send_unanswered(command, given(fields))

    async def send_unanswered(self, command: str, fields: dict[str, Any]) -> None:
        """Send a command under id 0."""
        raise NotImplementedError


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that are not None, by their names on the wire."""
    return {name.rstrip("_"): value for name, value in fields.items() if value is not None}


ANSWERS: tuple[type[Answer], ...] = (
    Ok,
    AuthRefreshed,
    Ticket,
    Blocks,
    PendingActions,
    CommandList,
    DeclaredCommands,
    Contacts,
    ConversationResult,
    ConversationInfo,
    Joined,
    Conversations,
    OwnConversation,
    Changes,
    InviteCreated,
    Invites,
    Preview,
    Requests,
    Labels,
    EndedLogins,
    Logins,
    LoginState,
    MatchQueued,
    Erased,
    UserResult,
    Members,
    MemberResult,
    ActionAck,
    MessageResult,
    Edits,
    Forwarded,
    Messages,
    Pins,
    Receipts,
    Scheduled,
    SearchResults,
    MessageAck,
    StarredMessages,
    Pong,
    PollAck,
    Voters,
    PresenceCount,
    PresenceStates,
    Reactions,
    ReportMade,
    RequestAccepted,
    InvitedUsers,
    ContactRequests,
    ScheduleResult,
    ScheduledMessages,
    SessionState,
    ThreadResult,
    Threads,
    UnreadTotal,
    Upload,
    SignedUrls,
    Users,
    FoundUsers,
    UserSettings,
    Error,
)

EVENTS: tuple[type[Event], ...] = (
    Action,
    ActionAnswer,
    Behind,
    BotCommand,
    Closed,
    Connected,
    ConversationGone,
    ConversationUpdate,
    CommandRefused,
    JoinDeclined,
    JoinRequested,
    LoginAdded,
    LoginEnded,
    LoginUpdated,
    MaintenanceMode,
    MatchEnded,
    MatchExpired,
    MatchFound,
    MatchKept,
    MatchProposed,
    MatchRequeued,
    MemberLeft,
    MemberUpdate,
    MessageDelivered,
    MessageNew,
    MessageRead,
    MessageUpdate,
    PollVoted,
    PresenceUpdate,
    RequestNew,
    ScheduleFailed,
    SessionBehind,
    ThreadUpdate,
    TokenExpiring,
    TypingStarted,
    TypingStopped,
    UserUpdated,
)
