// The wire types of chatd. Generated: do not edit, run `chatd schema --write docs`.
// A frame is [id, body]: the client chooses the id of a command, its answer has the same id, an event has 0.

/** Conditions on the attributes of partners: a value, a list of values, or `{"min": 18, "max": 30}`. */
export interface Accepts {
  must?: Record<string, unknown>;
  should?: Record<string, unknown>;
  must_not?: Record<string, unknown>;
}

/** An entry of the audit log. `actor`: the name of an admin, or of an account of the operating system. */
export interface Act {
  id: string;
  at: number;
  actor: string;
  act: string;
  subject: string;
  details: Record<string, unknown> | null;
}

/** A page of the audit log. `more`: there are older entries. */
export interface Acts {
  t: "admin.audit.list";
  items: Array<Act>;
  more: boolean;
}

/** Ban a user, or an address or range of addresses. `devices`: also ban the devices on which the user has signed up. */
export interface AddBan {
  t: "admin.ban";
  reason: string;
  user?: string | null;
  devices?: boolean;
  address?: string | null;
  lasts?: number | null;
  tenant?: string;
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

/** Who has read a message, and who has received it. */
export interface AskReceipts {
  t: "message.receipts";
  conversation: string;
  message: string;
  cursor?: string | null;
  limit?: number;
}

/** The number for the badge of the app. */
export interface AskUnread {
  t: "unread.total";
}

/** An attachment as a client names it: an `upload`, or the `url` of a link. Exactly one of the two. */
export interface AttachmentInput {
  type?: "audio" | "file" | "image" | "video" | "voice" | "link" | null;
  upload?: string | null;
  url?: string | null;
}

/** Sound. */
export interface AudioAttachment {
  type: "audio";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
}

/** The connection is authenticated until `expires_at`. */
export interface AuthRefreshed {
  t: "auth.refreshed";
  expires_at: number;
}

/** A ban. `user` is null in bans of devices and addresses, which are stored as hashes. */
export interface Ban {
  id: string;
  kind: "address" | "device" | "user";
  user: string | null;
  reason: string;
  actor: string;
  created_at: number;
  expires_at: number | null;
  lifted_at: number | null;
}

/** The ban, and when it ends (null: never). */
export interface BanAdded {
  t: "admin.banned";
  ban: string;
  until: number | null;
}

/** A ban of the reported user. Without `lasts` it is permanent; `devices`: also ban their devices. */
export interface BanFor {
  lasts?: number | null;
  devices?: boolean;
}

/** A page of bans. `more`: there are older ones. */
export interface Bans {
  t: "admin.ban.list";
  items: Array<Ban>;
  more: boolean;
}

/** Events of this conversation were skipped. Call `conversation.sync` with the last `rev` that you have. */
export interface Behind {
  t: "behind";
  conversation: string;
  rev: number;
}

/** Block a user, by user id or by the alias from a match. Each of them is a block of its own. Twice is once. */
export interface BlockUser {
  t: "user.block";
  user: string;
}

/** A blocked user. `user` is the id by which they were blocked; an alias has no name. */
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

/** End the search. With `ticket`, only the search with this ticket. */
export interface CancelMatch {
  t: "match.cancel";
  ticket?: string | null;
}

/** Do not send it. */
export interface CancelScheduled {
  t: "schedule.cancel";
  id: string;
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
  reset: boolean;
}

/** Accept a proposed match. */
export interface ConfirmMatch {
  t: "match.confirm";
  match: string;
}

/** The first frame of every connection. */
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

/** Limits of this connection. Sizes are in bytes, rates in commands per second. */
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
  keep_days: number | null;
  slow_seconds: number;
  joining: "closed" | "invite" | "open" | "request";
  history: "all" | "joined";
  member_count: number;
  id: string;
  kind: "direct" | "group" | "match";
  seq: number;
  rev: number;
  role?: "admin" | "member" | "moderator" | "owner";
  alias?: string;
  first_seq?: number;
  joined_seq?: number;
  joined_rev?: number;
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
  rev: number;
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

/** Count the members of a conversation who are online or away. */
export interface CountPresence {
  t: "presence.count";
  conversation: string;
}

/** A conversation, and the position of one member in it. */
export interface Counters {
  title: string | null;
  description: string | null;
  picture: string | null;
  announce: boolean;
  disappear: number;
  keep_days: number | null;
  slow_seconds: number;
  joining: "closed" | "invite" | "open" | "request";
  history: "all" | "joined";
  member_count: number;
  id: string;
  kind: "direct" | "group" | "match";
  seq: number;
  rev: number;
  role?: "admin" | "member" | "moderator" | "owner";
  alias?: string;
  first_seq?: number;
  joined_seq?: number;
  joined_rev?: number;
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

/** Report a user, or a `message` of a `conversation`. Repeating a report within a day creates no second one. */
export interface CreateReport {
  t: "report.create";
  reason: string;
  user?: string | null;
  conversation?: string | null;
  message?: string | null;
  text?: string | null;
  picture?: string | null;
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

/** Drain the node of this name, or all nodes, and stop them. Clients are asked to reconnect, spread over `over` seconds. */
export interface DrainNodes {
  t: "admin.drain";
  over?: number;
  node?: string;
  tenant?: string;
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
  slow_seconds?: number | null;
}

/** Say it in other words. Only who wrote it may, as long as `messages.edit_window` lasts. */
export interface EditMessage {
  t: "message.edit";
  conversation: string;
  message: string;
  text: string;
}

/** Change the text or the time, or both. One that had failed is tried again. */
export interface EditScheduled {
  t: "schedule.edit";
  id: string;
  text?: string | null;
  at?: number | null;
}

/** A page of the earlier forms of a message. `cursor` is null on the last one. */
export interface Edits {
  t: "message.edits";
  items: Array<Edit>;
  cursor: string | null;
}

/** Erase your account permanently, with all messages, uploads and settings. `confirm` must be true. */
export interface EraseMe {
  t: "me.erase";
  confirm: "True";
}

/** The account can no longer sign in. */
export interface Erased {
  t: "me.erased";
}

/** A refusal; `code` is one of the table of refusals. `retry_after` is in seconds. */
export interface Error {
  t: "error";
  code: "bad_request" | "unknown_command" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "rate_limited" | "too_large" | "unavailable" | "timeout" | "maintenance" | "banned" | "blocked" | "internal";
  message: string;
  retryable: boolean;
  retry_after?: number;
  details?: Record<string, unknown>;
}

/** A message as it was when the report was created. `earlier`: its texts before edits, oldest first. */
export interface Evidence {
  seq: number;
  message: string;
  sender: string;
  text: string | null;
  attachments: Array<Record<string, unknown>>;
  at: number;
  earlier?: Array<string>;
  removed_at?: number | null;
  meta?: Record<string, unknown> | null;
  system?: Record<string, unknown> | null;
}

/** Any file. An image that is sent as a file has `width` and `height` too. */
export interface FileAttachment {
  type: "file";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
  width?: number;
  height?: number;
}

/** Search for a partner. A new search replaces the previous one. */
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
  status: "sent";
  expires_at?: number;
  text?: string;
}

/** Who wrote first what was forwarded, and when. */
export interface ForwardedFrom {
  sender: string;
  created_at: number;
}

/** A report, and the messages around the reported one. */
export interface FullReport {
  t: "admin.report.full";
  report: Report;
  transcript: Array<Evidence>;
}

/** One conversation by its id. */
export interface GetConversation {
  t: "conversation.get";
  conversation: string;
}

/** A picture. `width` and `height` in pixels, where they are known. */
export interface ImageAttachment {
  type: "image";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
  width?: number;
  height?: number;
}

/** What all members share of a conversation, but for who is in it. */
export interface Info {
  title: string | null;
  description: string | null;
  picture: string | null;
  announce: boolean;
  disappear: number;
  keep_days: number | null;
  slow_seconds: number;
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

/** Vote to keep in touch. With the votes of all users the conversation becomes an ordinary one, and the match ends. */
export interface KeepMatch {
  t: "match.keep";
}

/** Close all connections of a user with 1001. The user may reconnect at once. */
export interface KickUser {
  t: "admin.kick";
  user: string;
  tenant?: string;
}

/** A user. */
export interface KnownUser {
  t: "admin.user.known";
  user: string;
  name: string | null;
  anonymous: boolean;
  shadow: boolean;
  created_at: number;
  conversations: number;
  logins: number;
  devices: number;
  matches: number;
  strikes: number;
  bans: number;
  reported: number;
  reporters: number;
  reports: number;
}

/** Leave a group. When the owner leaves, who stands highest and has been there longest becomes owner. */
export interface LeaveConversation {
  t: "conversation.leave";
  conversation: string;
}

/** End your match; the partners get `match.ended`. With `ticket`, only the match that this ticket led to. */
export interface LeaveMatch {
  t: "match.leave";
  ticket?: string | null;
}

/** Revoke a ban. */
export interface LiftBan {
  t: "admin.ban.lift";
  ban: string;
  tenant?: string;
}

/** A link that the sender attached. The filters of links have judged it. */
export interface LinkAttachment {
  type: "link";
  url: string;
}

/** List the audit log, newest first. `before`: the last id of the previous page. */
export interface ListActs {
  t: "admin.audit";
  before?: string | null;
  limit?: number;
  tenant?: string;
}

/** List bans, newest first. `every`: also expired and revoked bans. `before`: the last id of the previous page. */
export interface ListBans {
  t: "admin.bans";
  every?: boolean;
  before?: string | null;
  limit?: number;
  tenant?: string;
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

/** The links into a group, without those that are over or revoked. */
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

/** List reports, newest first. `user`: only reports about this user. `before`: the last id of the previous page. */
export interface ListReports {
  t: "admin.reports";
  state?: "any" | "open" | "resolved";
  user?: string | null;
  before?: string | null;
  limit?: number;
  tenant?: string;
}

/** Who asks to come in. */
export interface ListRequests {
  t: "join.list";
  conversation: string;
}

/** What one has scheduled and was not sent yet. `cursor` from the page before. */
export interface ListScheduled {
  t: "schedule.list";
  cursor?: string | null;
  limit?: number;
}

/** One's starred messages in all conversations, the latest star first. */
export interface ListStarred {
  t: "message.starred";
  cursor?: string | null;
  limit?: number;
}

/** End this login and close its connections; with `everywhere`, all logins and connections of the user. */
export interface Logout {
  t: "auth.logout";
  everywhere?: boolean;
}

/** Maintenance mode begins or ends, or the server is about to stop. `retry_after`: when to reconnect, in seconds. */
export interface MaintenanceMode {
  t: "maintenance.mode";
  enabled: boolean;
  message: string;
  retry_after?: number;
}

/** Get a ticket that opens one connection as this user within seconds, for browsers, which cannot send headers. */
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

/** The match has ended. Its conversation can no longer be read or written. `reason`: `left`, `skipped` or `disconnected`. */
export interface MatchEnded {
  t: "match.ended";
  match: string;
  reason: string;
}

/** Your search has ended: no partner was found, or you did not confirm. */
export interface MatchExpired {
  t: "match.expired";
  ticket: string;
  reason: string;
}

/** You are in a match, and can write to your partners in its conversation. */
export interface MatchFound {
  t: "match.found";
  match: string;
  conversation: string;
  alias: string;
  partner: Partner;
  partners: Array<Partner>;
  matched_on: Array<string>;
  relaxed: Array<string>;
  waited_ms: number;
}

/** All users voted to keep in touch: the match has ended, and its conversation stays with all of its messages. */
export interface MatchKept {
  t: "match.kept";
  match: string;
  conversation: string;
}

/** A partner was found. Send `match.confirm` within `expires_in` seconds. Only in queues that require confirmation. */
export interface MatchProposed {
  t: "match.proposed";
  match: string;
  expires_in: number;
}

/** The search is active. */
export interface MatchQueued {
  t: "match.queued";
  ticket: string;
  waiting: number;
  eta_ms?: number;
}

/** A proposed match was withdrawn: a partner did not confirm or left. Your search continues with its waiting time. */
export interface MatchRequeued {
  t: "match.requeued";
  ticket: string;
  reason: string;
}

/** Get the state of your search. It changes nothing. */
export interface MatchStatus {
  t: "match.status";
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

/** Somebody is a member no more. Who has gone hears it too, as the last thing of this conversation. */
export interface MemberLeft {
  t: "member.left";
  conversation: string;
  rev: number;
  departure: Departure;
}

/** A member as they are now. */
export interface MemberResult {
  t: "member";
  member: Member;
}

/** Somebody is a member now, or has another role. */
export interface MemberUpdate {
  t: "member.update";
  conversation: string;
  rev: number;
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
  attachments: Array<ImageAttachment | VideoAttachment | AudioAttachment | VoiceAttachment | FileAttachment | LinkAttachment>;
  reply_to: string | null;
  created_at: number;
  meta: Record<string, unknown> | null;
  quote?: Quote;
  system?: SystemAct;
  mentions?: Array<string>;
  mentions_everybody?: boolean;
  forwarded?: ForwardedFrom;
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
  expires_at?: number;
  text?: string;
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
  cursor?: string | null;
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
  delivered?: number;
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

/** The command succeeded. `ticket`: in the answer to `match.skip`, the ticket of the new search. */
export interface Ok {
  t: "ok";
  ticket?: string;
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

/** Another user of your match. `id` is their alias, which is valid in this match. */
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

/** Get the time of the server. `ts` is returned unchanged. */
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

/** `online`: members who are online or away and visible to you; in large groups, visible to everybody. */
export interface PresenceCount {
  t: "presence.count";
  online: number;
  members: number;
}

/** The presence of a user. */
export interface PresenceState {
  user: string;
  status: "away" | "offline" | "online";
  last_seen: number | null;
}

/** One item for each user, in the order of the request. */
export interface PresenceStates {
  t: "presence.states";
  items: Array<PresenceState>;
}

/** The presence of a user to whom this session is subscribed (`presence.watch`) has changed. */
export interface PresenceUpdate {
  t: "presence.update";
  user: string;
  status: "away" | "offline" | "online";
  last_seen: number | null;
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

/** Get the presence of users. */
export interface QueryPresence {
  t: "presence.query";
  users: Array<string>;
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

/** Of `members` whom a message was for, so many have read it, and so many have received it and not read it. */
export interface ReceiptCounts {
  members: number;
  read: number;
  delivered: number;
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

/** Members who have a message, by their id: those who have read it, and those who have not yet. `counts` is about all of them. */
export interface Receipts {
  t: "message.receipts";
  read: Array<Recipient>;
  delivered: Array<Recipient>;
  counts: ReceiptCounts;
  cursor: string | null;
}

/** Somebody whom a message was for. */
export interface Recipient {
  user: string;
  name: string | null;
}

/** Renew the authentication of this connection with a new access token of the same user. */
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

/** A report. `user`: the reported user; `picture`: an upload of the reporter. */
export interface Report {
  id: string;
  reporter: string;
  user: string;
  conversation: string;
  message: string | null;
  reason: string;
  text: string | null;
  picture: string | null;
  state: "open" | "resolved";
  outcome: "dismissed" | "upheld" | null;
  note: string | null;
  resolved_by: string | null;
  resolved_at: number | null;
  created_at: number;
}

/** The report is stored for the admins. */
export interface ReportMade {
  t: "report";
  report: string;
}

/** A page of reports. `more`: there are older ones. */
export interface Reports {
  t: "admin.report.list";
  items: Array<Report>;
  more: boolean;
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

/** Resolve a report, optionally with a strike or a ban of the reported user, in one transaction. Only admins see `note`. */
export interface ResolveReport {
  t: "admin.report.resolve";
  report: string;
  outcome: "dismissed" | "upheld";
  note?: string;
  strike?: boolean;
  ban?: BanFor | null;
  tenant?: string;
}

/** Whether the reported user was banned. */
export interface Resolved {
  t: "admin.report.resolved";
  banned: boolean;
}

/** A link that lets nobody in any more. */
export interface RevokeInvite {
  t: "invite.revoke";
  conversation: string;
  invite: string;
}

/** Revoke all logins of a user, and close their connections with 4404. The user may sign in again. */
export interface RevokeUser {
  t: "admin.revoke";
  user: string;
  tenant?: string;
}

/** Exchange a refresh token for a new pair of tokens. Each refresh token works once; reusing one revokes the login. */
export interface RotateToken {
  t: "auth.rotate";
  refresh_token: string;
}

/** A scheduled message was refused when it was due; `code` is the code of the refusal. `schedule.edit` tries it again. */
export interface ScheduleFailed {
  t: "schedule.failed";
  id: string;
  conversation: string;
  client_id: string;
  code: string;
}

/** Send this at a later time. The fields are those of message.send; whether it may be sent is judged again at that time. */
export interface ScheduleMessage {
  t: "message.schedule";
  conversation: string;
  client_id: string;
  text?: string | null;
  attachments?: Array<AttachmentInput>;
  reply_to?: string | null;
  meta?: Record<string, unknown> | null;
  mentions?: Array<string>;
  everybody?: boolean;
  at: number;
}

/** As it is now. */
export interface ScheduleResult {
  t: "schedule.edit";
  scheduled: ScheduledMessage;
}

/** It will be sent at this time, or as soon after it as the server runs. */
export interface Scheduled {
  t: "message.scheduled";
  id: string;
  at: number;
}

/** A message that is to be sent `at` a time, with its attachments as they were named. */
export interface ScheduledMessage {
  id: string;
  conversation: string;
  client_id: string;
  text: string | null;
  attachments: Array<AttachmentInput>;
  reply_to: string | null;
  meta: Record<string, unknown> | null;
  mentions: Array<string>;
  everybody: boolean;
  at: number;
  failed: string | null;
  created_at: number;
}

/** In the order in which they were scheduled. `cursor` is null on the last page. */
export interface ScheduledMessages {
  t: "schedule.list";
  items: Array<ScheduledMessage>;
  cursor: string | null;
}

/** A message, and the matching ranges of its text: [from, to) in code points. */
export interface SearchHit {
  conversation: string;
  message: Message;
  highlights: Array<Array<number>>;
}

/** Search the messages of your conversations, newest first. */
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

/** A page of results. `cursor` is null on the last page; other pages may contain fewer results than `limit`, or none. */
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
  attachments?: Array<AttachmentInput>;
  reply_to?: string | null;
  meta?: Record<string, unknown> | null;
  mentions?: Array<string>;
  everybody?: boolean;
}

/** Settings, stars, drafts or blocks of the user may have changed on another device. Call `session.sync`. */
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
  reset: boolean;
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

/** Turn maintenance mode on or off on all nodes. It notifies all clients and pauses matching. `lasts`: expected duration. */
export interface SetMaintenance {
  t: "admin.maintenance";
  on: boolean;
  message?: string;
  lasts?: number | null;
  tenant?: string;
}

/** Set whether the user is active on this device. */
export interface SetPresence {
  t: "presence.set";
  status: "away" | "online";
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

/** Shadow-ban a user, or end it. */
export interface ShadowUser {
  t: "admin.shadow";
  user: string;
  on?: boolean;
  tenant?: string;
}

/** Where a link leads to, before one follows it. */
export interface ShowInvite {
  t: "invite.show";
  secret: string;
}

/** Show a report with its messages. The access is recorded in the audit log. */
export interface ShowReport {
  t: "admin.report";
  report: string;
  tenant?: string;
}

/** What `user.settings` has set. */
export interface ShowSettings {
  t: "user.settings.get";
}

/** Show a user. */
export interface ShowUser {
  t: "admin.user";
  user: string;
  tenant?: string;
}

/** Sign up anonymously. `device`: a random secret that the client stores; signing up with it again returns the same user. */
export interface SignUp {
  t: "auth.anonymous";
  tenant?: string;
  name?: string | null;
  device?: string | null;
}

/** End your match and search for the next one with the same criteria. `ticket` as in `match.leave`. */
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

/** Give a user a strike. From a configured number of strikes on, each strike bans the user. */
export interface StrikeUser {
  t: "admin.strike";
  user: string;
  reason: string;
  tenant?: string;
}

/** `count`: strikes in force. `ban`: the ban that followed, if any; `until` is null if it is permanent. */
export interface Struck {
  t: "admin.struck";
  strike: string;
  count: number;
  ban: string | null;
  until: number | null;
}

/** What changed in a conversation after `rev`. Call again with the new rev while `more`. */
export interface SyncConversation {
  t: "conversation.sync";
  conversation: string;
  rev: number;
  limit?: number;
}

/** Which conversations changed since `cursor`; without one, all of them. Call again with the new cursor while `more`: a page */
export interface SyncSession {
  t: "session.sync";
  cursor?: string | null;
  limit?: number;
}

/** What a message with `system` says; its `sender` has done it. */
export interface SystemAct {
  act: "conversation.edited" | "conversation.transferred" | "member.added" | "member.approved" | "member.joined" | "member.left" | "member.removed" | "member.role" | "message.pinned";
  users?: Array<string>;
  count?: number;
  role?: "admin" | "member" | "moderator" | "owner";
  message?: string;
  title?: string | null;
  picture?: string | null;
  announce?: boolean;
  disappear?: number;
  keep_days?: number | null;
}

/** Connect once with `?ticket=` within `expires_in` seconds. */
export interface Ticket {
  t: "auth.ticket";
  ticket: string;
  expires_in: number;
}

/** The access token expires within a minute. Send `auth.refresh` with a new one, or the connection is closed with 4001. */
export interface TokenExpiring {
  t: "token.expiring";
  expires_at: number;
}

/** A pair of tokens. */
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

/** I am typing. Repeat it every few seconds while it is so. In large groups nobody is told. */
export interface TypingStart {
  t: "typing.start";
  conversation: string;
}

/** A member is typing; forget it after `expires_in` seconds, and when a message of theirs comes. */
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

/** A member is not typing any more, or the connection they typed on has ended. */
export interface TypingStopped {
  t: "typing.stop";
  conversation: string;
  user: string;
  expires_in: number;
}

/** Remove a block, by the id by which it was made. Other blocks of the same user stay in effect. */
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

/** Counts stop at 1000 for a conversation. Of more than 200 conversations with unread messages the last active ones count. */
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

/** Delete one of your files, in all conversations that use it. */
export interface UploadDelete {
  t: "upload.delete";
  upload: string;
}

/** How the asker wants to be notified and seen. Contacts are those one has written to in a direct conversation. */
export interface UserSettings {
  t: "user.settings";
  notify: "all" | "mentions" | "none";
  quiet: Quiet | null;
  show_presence: "contacts" | "everybody" | "nobody";
}

/** A film. */
export interface VideoAttachment {
  type: "video";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
}

/** A voice message. */
export interface VoiceAttachment {
  type: "voice";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
}

/** Subscribe this session to the presence of these users only. */
export interface WatchPresence {
  t: "presence.watch";
  users: Array<string>;
}

/** The result of each command that is not refused. */
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
  "match.status": MatchQueued;
  "me.erase": Erased;
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
  "message.receipts": Receipts;
  "message.schedule": Scheduled;
  "message.search": SearchResults;
  "message.send": MessageAck;
  "message.star": Ok;
  "message.starred": StarredMessages;
  "message.unpin": Ok;
  "message.unstar": Ok;
  "ping": Pong;
  "presence.count": PresenceCount;
  "presence.query": PresenceStates;
  "presence.set": Ok;
  "presence.watch": PresenceStates;
  "reaction.add": Ok;
  "reaction.list": Reactions;
  "reaction.remove": Ok;
  "receipt.delivered": Ok;
  "receipt.read": Ok;
  "report.create": ReportMade;
  "schedule.cancel": Ok;
  "schedule.edit": ScheduleResult;
  "schedule.list": ScheduledMessages;
  "session.sync": SessionState;
  "typing.start": Ok;
  "typing.stop": Ok;
  "unread.total": UnreadTotal;
  "upload.delete": Ok;
  "user.block": Ok;
  "user.settings": UserSettings;
  "user.settings.get": UserSettings;
  "user.unblock": Ok;
}

export type Command = Logout | RefreshAuth | MakeTicket | ListBlocks | CreateConversation | DissolveConversation | EditConversation | GetConversation | JoinConversation | LeaveConversation | ListConversations | OpenConversation | SetConversation | SyncConversation | TransferConversation | CreateInvite | ListInvites | RevokeInvite | ShowInvite | DecideRequest | ListRequests | CancelMatch | ConfirmMatch | FindMatch | KeepMatch | LeaveMatch | SkipMatch | MatchStatus | EraseMe | AddMembers | ListMembers | RemoveMember | SetRole | DeleteMessage | EditMessage | MessageEdits | ForwardMessage | MessageHistory | PinMessage | ListPins | AskReceipts | ScheduleMessage | SearchMessages | SendMessage | StarMessage | ListStarred | UnpinMessage | UnstarMessage | Ping | CountPresence | QueryPresence | SetPresence | WatchPresence | AddReaction | ListReactions | RemoveReaction | ReceiptDelivered | ReceiptRead | CreateReport | CancelScheduled | EditScheduled | ListScheduled | SyncSession | TypingStart | TypingStop | AskUnread | UploadDelete | BlockUser | SetUser | ShowSettings | UnblockUser;
export type Answer = Ok | AuthRefreshed | Ticket | Blocks | ConversationResult | ConversationInfo | Joined | Conversations | OwnConversation | Changes | InviteCreated | Invites | Preview | Requests | MatchQueued | Erased | Members | MemberResult | MessageResult | Edits | Forwarded | Messages | Pins | Receipts | Scheduled | SearchResults | MessageAck | StarredMessages | Pong | PresenceCount | PresenceStates | Reactions | ReportMade | ScheduleResult | ScheduledMessages | SessionState | UnreadTotal | UserSettings | Error;
export type ServerEvent = Behind | Connected | ConversationGone | ConversationUpdate | JoinDeclined | JoinRequested | MaintenanceMode | MatchEnded | MatchExpired | MatchFound | MatchKept | MatchProposed | MatchRequeued | MemberLeft | MemberUpdate | MessageDelivered | MessageNew | MessageRead | MessageUpdate | PresenceUpdate | ScheduleFailed | SessionBehind | TokenExpiring | TypingStarted | TypingStopped;
export type RefusalCode = "bad_request" | "unknown_command" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "rate_limited" | "too_large" | "unavailable" | "timeout" | "maintenance" | "banned" | "blocked" | "internal";
export type CloseCode = 1001 | 1009 | 4000 | 4001 | 4002 | 4029 | 4400 | 4403 | 4404;
export type ClientFrame = [number, Command];
export type ServerFrame = [number, Answer] | [0, ServerEvent];
