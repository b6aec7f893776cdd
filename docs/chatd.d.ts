// The wire types of chatd. Generated: do not edit, run `chatd schema --write docs`.
// A frame is [id, body]: id of your choosing for a command, the same id for its answer, 0 for an event.

/** Conditions on the attributes of the others: a value, a list of values, or `{"min": 18, "max": 30}`. */
export interface Accepts {
  must?: Record<string, unknown>;
  should?: Record<string, unknown>;
  must_not?: Record<string, unknown>;
}

/** Add people to a group. Those who are in it already stay as they are. */
export interface AddMembers {
  t: "member.add";
  conversation: string;
  users: Array<string>;
}

/** React to a message. The same emoji twice is once; where only one is allowed it takes the place of the one before. */
export interface AddReaction {
  t: "reaction.add";
  conversation: string;
  message: string;
  emoji: string;
}

/** The number for the badge of the app. */
export interface AskUnread {
  t: "unread.total";
}

/** The socket is good until `expires_at`. */
export interface AuthRefreshed {
  t: "auth.refreshed";
  expires_at: number;
}

/** Events of this conversation were not sent: call `conversation.sync` with the last rev that was seen. */
export interface Behind {
  t: "behind";
  conversation: string;
  rev: number;
}

/** Block somebody. Twice is once. */
export interface BlockUser {
  t: "user.block";
  user: string;
}

/** Somebody who is blocked. */
export interface Blocked {
  user: string;
  name: string | null;
  created_at: number;
}

/** By user id. `cursor` is null on the last page. */
export interface Blocks {
  t: "blocks";
  items: Array<Blocked>;
  cursor: string | null;
}

/** Stop waiting. With `ticket` only when it is this one. */
export interface CancelMatch {
  t: "match.cancel";
  ticket?: string | null;
}

/** States of what changed, each in the order of its rev. Everything up to `rev` is known now. */
export interface Changes {
  t: "changes";
  messages: Array<Message>;
  members: Array<Member>;
  departures: Array<Departure>;
  rev: number;
  more: boolean;
  info?: Info;
}

/** Yes to what was proposed. */
export interface ConfirmMatch {
  t: "match.confirm";
  match: string;
}

/** The first frame of every connection. `heartbeat` in seconds: when the client hears nothing for twice that, it is alone. */
export interface Connected {
  t: "connected";
  session: string;
  user: string;
  tenant: string;
  server_time: number;
  heartbeat: number;
  expires_at: number;
  limits: ConnectionLimits;
  maintenance: boolean;
}

/** What this connection may send. Sizes in bytes, rates in commands per second. */
export interface ConnectionLimits {
  max_message: number;
  max_frames: number;
  max_text: number;
  commands_per_second: number;
  commands_burst: number;
}

/** A conversation as one of its members sees it. `members` holds at most 50, `member_count` counts all. */
export interface Conversation {
  title: string | null;
  description: string | null;
  picture: string | null;
  announce: boolean;
  disappear: number;
  joining: "closed" | "invite" | "open" | "request";
  history: "all" | "joined";
  member_count: number;
  id: string;
  kind: "direct" | "group" | "match";
  seq: number;
  rev: number;
  role?: "admin" | "member" | "moderator" | "owner";
  first_seq?: number;
  read_seq?: number;
  delivered_seq?: number;
  unread?: number;
  mentions?: number;
  settings?: Settings;
  created_at: number;
  members?: Array<Member>;
  last_message?: Message | null;
}

/** The conversation is no more. Who was away learns it by `gone` of session.sync. */
export interface ConversationGone {
  t: "conversation.gone";
  conversation: string;
  reason: "dissolved";
}

/** The conversation as it is now. */
export interface ConversationInfo {
  t: "conversation.info";
  conversation: Conversation;
}

/** A conversation as the asker sees it. `created`: it was not there before. */
export interface ConversationResult {
  t: "conversation";
  conversation: Conversation;
  created: boolean;
}

/** A conversation is new for this user, or something about it other than its messages has changed. */
export interface ConversationUpdate {
  t: "conversation.update";
  conversation: Conversation;
  rev?: number;
}

/** A page. `cursor` is null on the last one. */
export interface Conversations {
  t: "conversations";
  items: Array<Conversation>;
  cursor: string | null;
}

/** A conversation, and the position of one member in it. */
export interface Counters {
  title: string | null;
  description: string | null;
  picture: string | null;
  announce: boolean;
  disappear: number;
  joining: "closed" | "invite" | "open" | "request";
  history: "all" | "joined";
  member_count: number;
  id: string;
  kind: "direct" | "group" | "match";
  seq: number;
  rev: number;
  role?: "admin" | "member" | "moderator" | "owner";
  first_seq?: number;
  read_seq?: number;
  delivered_seq?: number;
  unread?: number;
  mentions?: number;
  settings?: Settings;
}

/** A group. Whoever creates it is a member too. */
export interface CreateConversation {
  t: "conversation.create";
  members: Array<string>;
  title?: string | null;
}

/** A link into a group. `expires_in` in seconds, `uses`: how many may come by it; without them there is no limit. */
export interface CreateInvite {
  t: "invite.create";
  conversation: string;
  expires_in?: number | null;
  uses?: number | null;
}

/** Let somebody in who asked, or do not. */
export interface DecideRequest {
  t: "join.decide";
  conversation: string;
  user: string;
  approve: boolean;
}

/** Take a message back: for everybody (a tombstone stays), or only for oneself (it is hidden on all own devices). */
export interface DeleteMessage {
  t: "message.delete";
  conversation: string;
  message: string;
  scope?: "all" | "me";
}

/** Somebody who is a member no more. `actor`: who removed them, or they themselves; null when nobody has done it. */
export interface Departure {
  user: string;
  rev: number;
  left_at: number;
  actor: string | null;
}

/** End a group for all: nobody is a member any more, and nobody sees anything of it. */
export interface DissolveConversation {
  t: "conversation.dissolve";
  conversation: string;
}

/** What a message said until `until`. */
export interface Edit {
  text: string | null;
  until: number;
}

/** Change what is given. An empty text empties the field. `disappear` in seconds; `keep_days` 0: as configured. */
export interface EditConversation {
  t: "conversation.edit";
  conversation: string;
  title?: string | null;
  description?: string | null;
  picture?: string | null;
  announce?: boolean | null;
  disappear?: number | null;
  joining?: "closed" | "invite" | "open" | "request" | null;
  history?: "all" | "joined" | null;
  keep_days?: number | null;
}

/** Say it in other words. Only who wrote it may, as long as `messages.edit_window` lasts; a tombstone stays one. */
export interface EditMessage {
  t: "message.edit";
  conversation: string;
  message: string;
  text: string;
}

/** The earlier forms of a message. */
export interface Edits {
  t: "message.edits";
  items: Array<Edit>;
}

/** A refusal, from the table of refusals. `retry_after` in seconds. */
export interface Error {
  t: "error";
  code: "bad_request" | "unknown_command" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "rate_limited" | "too_large" | "unavailable" | "timeout" | "maintenance" | "banned" | "blocked" | "internal";
  message: string;
  retryable: boolean;
  retry_after?: number;
  details?: Record<string, unknown>;
}

/** Find somebody to talk to. Whoever asks again replaces what they asked before. */
export interface FindMatch {
  t: "match.find";
  queue?: string;
  tags?: Array<string>;
  attributes?: Record<string, unknown>;
  accept?: Accepts;
}

/** Send a `message` of the conversation `source` into another one. As with message.send, again is the same. */
export interface ForwardMessage {
  t: "message.forward";
  conversation: string;
  client_id: string;
  source: string;
  message: string;
}

/** As message.ack. */
export interface Forwarded {
  t: "message.forwarded";
  client_id: string;
  message: string;
  seq: number;
  rev: number;
  created_at: number;
  duplicate: boolean;
}

/** One conversation by its id. */
export interface GetConversation {
  t: "conversation.get";
  conversation: string;
}

/** What all members share of a conversation, but for who is in it. */
export interface Info {
  title: string | null;
  description: string | null;
  picture: string | null;
  announce: boolean;
  disappear: number;
  joining: "closed" | "invite" | "open" | "request";
  history: "all" | "joined";
  member_count: number;
}

/** A link, without its secret. */
export interface Invite {
  id: string;
  creator: string;
  created_at: number;
  expires_at: number | null;
  uses_left: number | null;
}

/** `secret` is shown this once. */
export interface InviteCreated {
  t: "invite.created";
  invite: string;
  secret: string;
  expires_at: number | null;
}

/** The latest first. */
export interface Invites {
  t: "invites";
  items: Array<Invite>;
}

/** Come into a group: by the `secret` of a link, or by its id where it is open. `text` goes with a request. */
export interface JoinConversation {
  t: "conversation.join";
  conversation?: string | null;
  secret?: string | null;
  text?: string | null;
}

/** You are not let in. */
export interface JoinDeclined {
  t: "join.declined";
  conversation: string;
  user: string;
}

/** Somebody asks to come in. For those who may decide. */
export interface JoinRequested {
  t: "join.requested";
  conversation: string;
  user: string;
}

/** The group; or null, when somebody has to let the asker in first. */
export interface Joined {
  t: "conversation.joined";
  conversation: Conversation | null;
  requested: boolean;
}

/** Keep in touch. When all of them have said so, the conversation becomes an ordinary one, and the match is over. */
export interface KeepMatch {
  t: "match.keep";
}

/** Leave a group. When the owner leaves, who stands highest and has been there longest becomes owner. */
export interface LeaveConversation {
  t: "conversation.leave";
  conversation: string;
}

/** End the match; the others are told. */
export interface LeaveMatch {
  t: "match.leave";
  ticket?: string | null;
}

/** Whom one has blocked. */
export interface ListBlocks {
  t: "block.list";
  cursor?: string | null;
  limit?: number;
}

/** The conversations of the asker, the most recently active first. `cursor` from the page before. */
export interface ListConversations {
  t: "conversation.list";
  cursor?: string | null;
  limit?: number;
}

/** The links into a group. */
export interface ListInvites {
  t: "invite.list";
  conversation: string;
}

/** The members of a conversation, by their id. `cursor` from the page before. */
export interface ListMembers {
  t: "member.list";
  conversation: string;
  cursor?: string | null;
  limit?: number;
}

/** What is pinned. */
export interface ListPins {
  t: "message.pins";
  conversation: string;
}

/** Who has reacted to a message, with this emoji or with any. `cursor` from the page before. */
export interface ListReactions {
  t: "reaction.list";
  conversation: string;
  message: string;
  emoji?: string | null;
  cursor?: string | null;
  limit?: number;
}

/** Who asks to come in. */
export interface ListRequests {
  t: "join.list";
  conversation: string;
}

/** One's starred messages in all conversations, the latest star first. */
export interface ListStarred {
  t: "message.starred";
  cursor?: string | null;
  limit?: number;
}

/** End this login and close its sockets; with `everywhere`, all logins and all sockets of this user. */
export interface Logout {
  t: "auth.logout";
  everywhere?: boolean;
}

/** The server is about to stop, or is back. `retry_after` in seconds: when this session may come back. */
export interface MaintenanceMode {
  t: "maintenance.mode";
  enabled: boolean;
  message: string;
  retry_after?: number;
}

/** A ticket opens one connection as this user, within seconds: for browsers, which cannot send headers. */
export interface MakeTicket {
  t: "auth.ticket";
}

/** What the asker has done to a message for themselves alone, as it is now. */
export interface Mark {
  conversation: string;
  message: string;
  seq: number;
  starred_at: number | null;
  hidden: boolean;
}

/** The match is over: left, skipped, disconnected, kept. Nobody can write in its conversation any more, unless it was kept. */
export interface MatchEnded {
  t: "match.ended";
  match: string;
  reason: string;
}

/** Nobody was found, or you did not confirm: the ticket is no more. */
export interface MatchExpired {
  t: "match.expired";
  ticket: string;
  reason: string;
}

/** You have been brought together, and can write to each other. */
export interface MatchFound {
  t: "match.found";
  match: string;
  conversation: string;
  partner: Partner;
  partners: Array<Partner>;
  matched_on: Array<string>;
  relaxed: Array<string>;
  waited_ms: number;
}

/** All want to keep in touch: the conversation stays. */
export interface MatchKept {
  t: "match.kept";
  match: string;
  conversation: string;
}

/** Somebody was found; confirm within `expires_in` seconds. Only in queues that ask for it. */
export interface MatchProposed {
  t: "match.proposed";
  match: string;
  expires_in: number;
}

/** You wait. `waiting`: how many do in this queue, you included. `eta_ms`: what the last ones waited, where that is known. */
export interface MatchQueued {
  t: "match.queued";
  ticket: string;
  waiting: number;
  eta_ms?: number;
}

/** The other one did not confirm, or has gone: you wait on, from when you began. */
export interface MatchRequeued {
  t: "match.requeued";
  ticket: string;
  reason: string;
}

/** Somebody in a conversation, and how far they have received and read. `rev` is the number of the last change. */
export interface Member {
  user: string;
  name: string | null;
  role: "admin" | "member" | "moderator" | "owner";
  delivered_seq: number;
  read_seq: number;
  joined_at: number;
  rev: number;
}

/** A member as they are now. */
export interface MemberResult {
  t: "member";
  member: Member;
}

/** Members of a conversation. `cursor` is null on the last page. */
export interface Members {
  t: "members";
  items: Array<Member>;
  cursor: string | null;
}

/** A message. `seq` is its place in the conversation, `rev` the number of its last change. */
export interface Message {
  id: string;
  seq: number;
  rev: number;
  sender: string;
  client_id: string;
  text: string | null;
  attachments: Array<Record<string, unknown>>;
  reply_to: string | null;
  created_at: number;
  meta: Record<string, unknown> | null;
  quote?: Quote;
  system?: Record<string, unknown>;
  mentions?: Array<string>;
  mentions_everybody?: boolean;
  forwarded?: Record<string, unknown>;
  reactions?: Record<string, unknown>;
  mine?: Array<string>;
  starred_at?: number;
  edited_at?: number;
  deleted_at?: number;
  expires_at?: number;
  pinned_at?: number;
}

/** The message is committed. `duplicate`: it had been before, and this is the first ack again. */
export interface MessageAck {
  t: "message.ack";
  client_id: string;
  message: string;
  seq: number;
  rev: number;
  created_at: number;
  duplicate: boolean;
  status: "sent";
}

/** A member has all messages up to `seq`. */
export interface MessageDelivered {
  t: "message.delivered";
  conversation: string;
  user: string;
  seq: number;
  rev: number;
}

/** What a message said before, the oldest first, for those whom `messages.edit_history` lets see it. */
export interface MessageEdits {
  t: "message.edits";
  conversation: string;
  message: string;
  limit?: number;
}

/** Page through a conversation: the newest, those `before` a seq, or those `after` one. Always in the order of seq. */
export interface MessageHistory {
  t: "message.history";
  conversation: string;
  before?: number | null;
  after?: number | null;
  limit?: number;
}

/** A message was committed. For every session of every member but the one that sent it. */
export interface MessageNew {
  t: "message.new";
  conversation: string;
  rev: number;
  message: Message;
}

/** A member has read all messages up to `seq`. `unread` is what is left for that member, up to 1000, `mentions` part of it. */
export interface MessageRead {
  t: "message.read";
  conversation: string;
  user: string;
  seq: number;
  rev: number;
  unread: number;
  mentions: number;
}

/** A message as it is now. */
export interface MessageResult {
  t: "message";
  message: Message;
}

/** A message is not what it was: `message` is what it is now. `change` says why, `by` who has done it, where somebody has. */
export interface MessageUpdate {
  t: "message.update";
  conversation: string;
  rev: number;
  message: Message;
  change: "delete" | "edit" | "expire" | "pin" | "reaction";
  by?: string;
  emoji?: string;
  on?: boolean;
}

/** A page of messages. `more`: there are further ones in the direction that was asked for. */
export interface Messages {
  t: "messages";
  items: Array<Message>;
  more: boolean;
}

/** Done; there is nothing more to say. */
export interface Ok {
  t: "ok";
}

/** The conversation with one other user: one per pair, for ever. */
export interface OpenConversation {
  t: "conversation.open";
  user: string;
}

/** The conversation as the asker sees it now. */
export interface OwnConversation {
  t: "conversation.settings";
  conversation: Conversation;
}

/** Somebody whom one has been brought together with. */
export interface Partner {
  id: string;
  name: string | null;
  attributes: Record<string, unknown>;
}

/** Pin a message for all members. */
export interface PinMessage {
  t: "message.pin";
  conversation: string;
  message: string;
}

/** Ask for the time. `ts` comes back as it was sent. */
export interface Ping {
  t: "ping";
  ts: number;
}

/** Pinned messages, the latest pin first. */
export interface Pins {
  t: "message.pins";
  items: Array<Message>;
}

/** The answer to `ping`. */
export interface Pong {
  t: "pong";
  ts: number;
  server_time: number;
}

/** A group as somebody sees it who has a link. `asks`: one has to ask to be let in. */
export interface Preview {
  t: "invite.preview";
  conversation: string;
  title: string | null;
  description: string | null;
  picture: string | null;
  member_count: number;
  asks: boolean;
}

/** From and to as "22:30", in a time zone such as Europe/Berlin. Where `to` comes before `from` it is of the next day. */
export interface Quiet {
  from: string;
  to: string;
  zone: string;
}

/** What a message replies to, as that is now: when it changes, so does every quote of it. `text`: its first 200 characters. */
export interface Quote {
  message: string;
  seq: number;
  sender: string;
  text: string | null;
  deleted: boolean;
}

/** By user id. `cursor` is null on the last page. */
export interface Reactions {
  t: "reactions";
  items: Array<Reactor>;
  cursor: string | null;
}

/** Somebody who has reacted, and with what, the first one first. */
export interface Reactor {
  user: string;
  name: string | null;
  emoji: Array<string>;
}

/** This user's devices have all messages up to `seq`. */
export interface ReceiptDelivered {
  t: "receipt.delivered";
  conversation: string;
  seq: number;
}

/** This user has read all messages up to `seq`; that they were delivered goes with it. */
export interface ReceiptRead {
  t: "receipt.read";
  conversation: string;
  seq: number;
}

/** Show a fresh access token of the same user on an open socket, which then lives on. */
export interface RefreshAuth {
  t: "auth.refresh";
  token: string;
}

/** Remove somebody from a group. From then on they see nothing of it. */
export interface RemoveMember {
  t: "member.remove";
  conversation: string;
  user: string;
}

/** Take a reaction back. */
export interface RemoveReaction {
  t: "reaction.remove";
  conversation: string;
  message: string;
  emoji: string;
}

/** Somebody who asks to come in. */
export interface Request {
  user: string;
  name: string | null;
  text: string | null;
  created_at: number;
}

/** The first ones first, at most 200. */
export interface Requests {
  t: "join.requests";
  items: Array<Request>;
}

/** A link that lets nobody in any more. */
export interface RevokeInvite {
  t: "invite.revoke";
  conversation: string;
  invite: string;
}

/** Exchange a refresh token for a new pair. It works once; a second time ends the login. */
export interface RotateToken {
  t: "auth.rotate";
  refresh_token: string;
}

/** A message, and where its text has what was looked for: [from, to), counted in code points. */
export interface SearchHit {
  conversation: string;
  message: Message;
  highlights: Array<Array<number>>;
}

/** Find messages in one's conversations, the newest first. */
export interface SearchMessages {
  t: "message.search";
  query?: string;
  conversation?: string | null;
  sender?: string | null;
  before?: number | null;
  after?: number | null;
  has?: "file" | "image" | "link" | null;
  cursor?: string | null;
  limit?: number;
}

/** A page. `cursor` is null on the last one; a page with a cursor may hold less than was asked for, or nothing. */
export interface SearchResults {
  t: "search.results";
  items: Array<SearchHit>;
  cursor: string | null;
}

/** Send a message. Sending it again with the same `client_id` gives the same ack and no second message, for ever. */
export interface SendMessage {
  t: "message.send";
  conversation: string;
  client_id: string;
  text?: string | null;
  attachments?: Array<Record<string, unknown>>;
  reply_to?: string | null;
  meta?: Record<string, unknown> | null;
  mentions?: Array<string>;
  everybody?: boolean;
}

/** Something of the user's own (settings, stars, drafts, blocks) may have changed on another device: call `session.sync`. */
export interface SessionBehind {
  t: "session.behind";
}

/** States of conversations. Keep `cursor` for the next time. `gone`: those that the asker is no member of any more. */
export interface SessionState {
  t: "session.state";
  conversations: Array<Counters>;
  gone: Array<string>;
  marks: Array<Mark>;
  own: boolean;
  cursor: string;
  more: boolean;
}

/** Change what is given, for oneself. `muted_until` in milliseconds (0: not muted, 2^53-1: for ever). */
export interface SetConversation {
  t: "conversation.settings";
  conversation: string;
  muted_until?: number | null;
  archived?: boolean | null;
  pinned?: boolean | null;
  hidden?: boolean | null;
  draft?: string | null;
  notify?: "all" | "mentions" | "none" | "" | null;
}

/** Give a member another role. Both the role before and the one after must be below the asker's own. */
export interface SetRole {
  t: "member.role";
  conversation: string;
  user: string;
  role: "admin" | "member" | "moderator";
}

/** Change what is given, for all conversations; without any field it only asks. `loud`: no quiet hours any more. */
export interface SetUser {
  t: "user.settings";
  notify?: "all" | "mentions" | "none" | null;
  quiet?: Quiet | null;
  loud?: boolean;
  show_presence?: "contacts" | "everybody" | "nobody" | null;
}

/** What one member has set for themselves: nobody else sees it, and all their devices do. */
export interface Settings {
  muted_until: number | null;
  archived: boolean;
  pinned_at: number | null;
  hidden: boolean;
  draft: string | null;
  draft_at: number | null;
  notify: "all" | "mentions" | "none" | null;
}

/** Where a link leads to, before one follows it. */
export interface ShowInvite {
  t: "invite.show";
  secret: string;
}

/** Become somebody with nothing but a device. The same `device` (a random secret that it keeps) is the same user again. */
export interface SignUp {
  t: "auth.anonymous";
  tenant?: string;
  name?: string | null;
  device?: string | null;
}

/** End the match and look for the next one, with what was asked for last. */
export interface SkipMatch {
  t: "match.skip";
  ticket?: string | null;
}

/** Star a message, for oneself. */
export interface StarMessage {
  t: "message.star";
  conversation: string;
  message: string;
}

/** A starred message and where it is. */
export interface Starred {
  conversation: string;
  message: Message;
}

/** A page. `cursor` is null on the last one. */
export interface StarredMessages {
  t: "message.starred";
  items: Array<Starred>;
  cursor: string | null;
}

/** What changed in a conversation after `rev`. Call again with the new rev while `more`. */
export interface SyncConversation {
  t: "conversation.sync";
  conversation: string;
  rev: number;
  limit?: number;
}

/** Which conversations changed since `cursor`; without one, all of them. Call again with the new cursor while `more`. */
export interface SyncSession {
  t: "session.sync";
  cursor?: string | null;
  limit?: number;
}

/** Connect with `?ticket=`, once, within `expires_in` seconds. */
export interface Ticket {
  t: "auth.ticket";
  ticket: string;
  expires_in: number;
}

/** The access token ends in a minute: send `auth.refresh` with a fresh one, or the socket closes with 4001. */
export interface TokenExpiring {
  t: "token.expiring";
  expires_at: number;
}

/** `access_token` is for requests and sockets, for `expires_in` seconds; `refresh_token` is for the next pair, once. */
export interface Tokens {
  t: "auth.tokens";
  user: string;
  access_token: string;
  refresh_token: string;
  expires_in: number;
}

/** Hand a group over to another member. The asker becomes an admin. */
export interface TransferConversation {
  t: "conversation.transfer";
  conversation: string;
  user: string;
}

/** I am typing. Repeat it every few seconds while it is so. */
export interface TypingStart {
  t: "typing.start";
  conversation: string;
}

/** A member is typing; forget it after `expires_in` seconds. */
export interface TypingStarted {
  t: "typing.start";
  conversation: string;
  user: string;
  expires_in: number;
}

/** I am not typing any more. Sending a message says so as well. */
export interface TypingStop {
  t: "typing.stop";
  conversation: string;
}

/** A member is not typing any more. */
export interface TypingStopped {
  t: "typing.stop";
  conversation: string;
  user: string;
  expires_in: number;
}

/** Take it back. */
export interface UnblockUser {
  t: "user.unblock";
  user: string;
}

/** Take the pin back. */
export interface UnpinMessage {
  t: "message.unpin";
  conversation: string;
  message: string;
}

/** Messages of others that are unread where it is neither muted nor archived, in how many places, and mentions in all. */
export interface Unread {
  unread: number;
  conversations: number;
  mentions: number;
}

/** Up to 1000 count of each conversation. */
export interface UnreadTotal {
  t: "unread.total";
  total: Unread;
}

/** Take the star back. */
export interface UnstarMessage {
  t: "message.unstar";
  conversation: string;
  message: string;
}

/** How the asker wants to be notified and seen. Contacts are those one has a direct conversation with. */
export interface UserSettings {
  t: "user.settings";
  notify: "all" | "mentions" | "none";
  quiet: Quiet | null;
  show_presence: "contacts" | "everybody" | "nobody";
}

/** What each command is answered with, when it is not refused. */
export interface ResultOf {
  "auth.logout": Ok;
  "auth.refresh": AuthRefreshed;
  "auth.ticket": Ticket;
  "block.list": Blocks;
  "conversation.create": ConversationResult;
  "conversation.dissolve": Ok;
  "conversation.edit": ConversationInfo;
  "conversation.get": ConversationResult;
  "conversation.join": Joined;
  "conversation.leave": Ok;
  "conversation.list": Conversations;
  "conversation.open": ConversationResult;
  "conversation.settings": OwnConversation;
  "conversation.sync": Changes;
  "conversation.transfer": Ok;
  "invite.create": InviteCreated;
  "invite.list": Invites;
  "invite.revoke": Ok;
  "invite.show": Preview;
  "join.decide": Ok;
  "join.list": Requests;
  "match.cancel": Ok;
  "match.confirm": Ok;
  "match.find": MatchQueued;
  "match.keep": Ok;
  "match.leave": Ok;
  "match.skip": Ok;
  "member.add": Members;
  "member.list": Members;
  "member.remove": Ok;
  "member.role": MemberResult;
  "message.delete": Ok;
  "message.edit": MessageResult;
  "message.edits": Edits;
  "message.forward": Forwarded;
  "message.history": Messages;
  "message.pin": Ok;
  "message.pins": Pins;
  "message.search": SearchResults;
  "message.send": MessageAck;
  "message.star": Ok;
  "message.starred": StarredMessages;
  "message.unpin": Ok;
  "message.unstar": Ok;
  "ping": Pong;
  "reaction.add": Ok;
  "reaction.list": Reactions;
  "reaction.remove": Ok;
  "receipt.delivered": Ok;
  "receipt.read": Ok;
  "session.sync": SessionState;
  "typing.start": Ok;
  "typing.stop": Ok;
  "unread.total": UnreadTotal;
  "user.block": Ok;
  "user.settings": UserSettings;
  "user.unblock": Ok;
}

export type Command = Logout | RefreshAuth | MakeTicket | ListBlocks | CreateConversation | DissolveConversation | EditConversation | GetConversation | JoinConversation | LeaveConversation | ListConversations | OpenConversation | SetConversation | SyncConversation | TransferConversation | CreateInvite | ListInvites | RevokeInvite | ShowInvite | DecideRequest | ListRequests | CancelMatch | ConfirmMatch | FindMatch | KeepMatch | LeaveMatch | SkipMatch | AddMembers | ListMembers | RemoveMember | SetRole | DeleteMessage | EditMessage | MessageEdits | ForwardMessage | MessageHistory | PinMessage | ListPins | SearchMessages | SendMessage | StarMessage | ListStarred | UnpinMessage | UnstarMessage | Ping | AddReaction | ListReactions | RemoveReaction | ReceiptDelivered | ReceiptRead | SyncSession | TypingStart | TypingStop | AskUnread | BlockUser | SetUser | UnblockUser;
export type Answer = Ok | AuthRefreshed | Ticket | Blocks | ConversationResult | ConversationInfo | Joined | Conversations | OwnConversation | Changes | InviteCreated | Invites | Preview | Requests | MatchQueued | Members | MemberResult | MessageResult | Edits | Forwarded | Messages | Pins | SearchResults | MessageAck | StarredMessages | Pong | Reactions | SessionState | UnreadTotal | UserSettings | Error;
export type ServerEvent = Connected | TokenExpiring | MaintenanceMode | Behind | MatchProposed | MatchFound | MatchEnded | MatchRequeued | MatchExpired | ConversationGone | ConversationUpdate | JoinDeclined | JoinRequested | MatchKept | MessageDelivered | MessageNew | MessageRead | MessageUpdate | SessionBehind | TypingStarted | TypingStopped;
export type RefusalCode = "bad_request" | "unknown_command" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "rate_limited" | "too_large" | "unavailable" | "timeout" | "maintenance" | "banned" | "blocked" | "internal";
export type CloseCode = 1001 | 1009 | 4000 | 4001 | 4002 | 4029 | 4400 | 4403 | 4404;
export type ClientFrame = [number, Command];
export type ServerFrame = [number, Answer] | [0, ServerEvent];
