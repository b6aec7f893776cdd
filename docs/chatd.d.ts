// The wire types of chatd. Generated: do not edit, run `chatd schema --write docs`.
// A frame is [id, body]: id of your choosing for a command, the same id for its answer, 0 for an event.

/** Conditions on the attributes of the others: a value, a list of values, or `{"min": 18, "max": 30}`. */
export interface Accepts {
  must?: Record<string, unknown>;
  should?: Record<string, unknown>;
  must_not?: Record<string, unknown>;
}

/** Who (`actor`: the name of an admin, or of an account of the operating system) did what to whom. */
export interface Act {
  id: string;
  at: number;
  actor: string;
  act: string;
  subject: string;
  details: Record<string, unknown> | null;
}

/** A page of the audit log. `more`: there are earlier ones. */
export interface Acts {
  t: "admin.audit.list";
  items: Array<Act>;
  more: boolean;
}

/** Ban a user, with `devices` also the devices that they have signed up with; or an address or a range of addresses. */
export interface AddBan {
  t: "admin.ban";
  reason: string;
  user?: string | null;
  devices?: boolean;
  address?: string | null;
  lasts?: number | null;
  tenant?: string;
}

/** The socket is good until `expires_at`. */
export interface AuthRefreshed {
  t: "auth.refreshed";
  expires_at: number;
}

/** A ban. `user` only where it is one on a user; devices and addresses are kept as hashes. */
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

/** The ban, and when it is over (null: never). */
export interface BanAdded {
  t: "admin.banned";
  ban: string;
  until: number | null;
}

/** A ban of whom the report is about. Without `lasts` for ever; with `devices` of their devices too. */
export interface BanFor {
  lasts?: number | null;
  devices?: boolean;
}

/** A page of bans. `more`: there are earlier ones. */
export interface Bans {
  t: "admin.ban.list";
  items: Array<Ban>;
  more: boolean;
}

/** Events of this conversation were not sent: call `conversation.sync` with the last rev that was seen. */
export interface Behind {
  t: "behind";
  conversation: string;
  rev: number;
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
  rev: number;
  more: boolean;
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

/** A conversation as one of its members sees it. */
export interface Conversation {
  id: string;
  kind: "direct" | "group" | "match";
  title: string | null;
  seq: number;
  rev: number;
  read_seq: number;
  delivered_seq: number;
  unread: number;
  member_count: number;
  members: Array<Member>;
  last_message: Message | null;
  created_at: number;
  slow_seconds: number;
}

/** A conversation as the asker sees it. `created`: it was not there before. */
export interface ConversationResult {
  t: "conversation";
  conversation: Conversation;
  created: boolean;
}

/** The pause between two messages of a member has changed. For every session of every member. */
export interface ConversationSlowed {
  t: "conversation.slow";
  conversation: string;
  slow_seconds: number;
  rev: number;
}

/** A conversation is new for this user, or something about it other than its messages has changed. */
export interface ConversationUpdate {
  t: "conversation.update";
  conversation: Conversation;
}

/** A page. `cursor` is null on the last one. */
export interface Conversations {
  t: "conversations";
  items: Array<Conversation>;
  cursor: string | null;
}

/** The position of one member in a conversation. `unread` as in Conversation. */
export interface Counters {
  id: string;
  kind: "direct" | "group" | "match";
  title: string | null;
  seq: number;
  rev: number;
  read_seq: number;
  delivered_seq: number;
  unread: number;
  slow_seconds: number;
}

/** A group. Whoever creates it is a member too. */
export interface CreateConversation {
  t: "conversation.create";
  members: Array<string>;
  title?: string | null;
}

/** Report a user, or a `message` of a `conversation`. The same report again within a day is the same report. */
export interface CreateReport {
  t: "report.create";
  reason: string;
  user?: string | null;
  conversation?: string | null;
  message?: string | null;
  text?: string | null;
  picture?: string | null;
}

/** Stop nodes in good order, the one of this name or all. Everybody is asked to come back within `over` seconds. */
export interface DrainNodes {
  t: "admin.drain";
  over?: number;
  node?: string;
  tenant?: string;
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

/** A message as it was when the report was made. */
export interface Evidence {
  seq: number;
  message: string;
  sender: string;
  text: string | null;
  attachments: Array<Record<string, unknown>>;
  at: number;
}

/** Find somebody to talk to. Whoever asks again replaces what they asked before. */
export interface FindMatch {
  t: "match.find";
  queue?: string;
  tags?: Array<string>;
  attributes?: Record<string, unknown>;
  accept?: Accepts;
}

/** A report and the part of the conversation that it is about. */
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

/** Keep in touch. When all of them have said so, the conversation becomes an ordinary one, and the match is over. */
export interface KeepMatch {
  t: "match.keep";
}

/** Close all sockets of a user (1001). They may come back at once. */
export interface KickUser {
  t: "admin.kick";
  user: string;
  tenant?: string;
}

/** `strikes` and `bans` are those in force. `reported`: reports about them, by so many `reporters`; `reports`: their own. */
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

/** End the match; the others are told. With `ticket` only the match that this ticket led to: not one that came later. */
export interface LeaveMatch {
  t: "match.leave";
  ticket?: string | null;
}

/** End a ban before its time. */
export interface LiftBan {
  t: "admin.ban.lift";
  ban: string;
  tenant?: string;
}

/** The audit log, the latest first. `before`: the last id of the page before. */
export interface ListActs {
  t: "admin.audit";
  before?: string | null;
  limit?: number;
  tenant?: string;
}

/** Bans, the latest first. With `every` also those that are over. `before`: the last id of the page before. */
export interface ListBans {
  t: "admin.bans";
  every?: boolean;
  before?: string | null;
  limit?: number;
  tenant?: string;
}

/** The conversations of the asker, the most recently active first. `cursor` from the page before. */
export interface ListConversations {
  t: "conversation.list";
  cursor?: string | null;
  limit?: number;
}

/** Reports, the latest first. `user`: only those about this one. `before`: the last id of the page before. */
export interface ListReports {
  t: "admin.reports";
  state?: "any" | "open" | "resolved";
  user?: string | null;
  before?: string | null;
  limit?: number;
  tenant?: string;
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

/** How long the line is by now. The ticket stays what it is. */
export interface MatchStatus {
  t: "match.status";
}

/** Somebody in a conversation, and how far they have received and read. `rev` is the number of the last change. */
export interface Member {
  user: string;
  name: string | null;
  delivered_seq: number;
  read_seq: number;
  joined_at: number;
  rev: number;
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

/** A member has read all messages up to `seq`. `unread` is what is left for that member, up to 1000. */
export interface MessageRead {
  t: "message.read";
  conversation: string;
  user: string;
  seq: number;
  rev: number;
  unread: number;
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

/** Somebody whom one has been brought together with. */
export interface Partner {
  id: string;
  name: string | null;
  attributes: Record<string, unknown>;
}

/** Ask for the time. `ts` comes back as it was sent. */
export interface Ping {
  t: "ping";
  ts: number;
}

/** The answer to `ping`. */
export interface Pong {
  t: "pong";
  ts: number;
  server_time: number;
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

/** What somebody has reported. `user` is whom; `picture` an upload of the reporter. */
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

/** The report is kept, and admins can see it. */
export interface ReportMade {
  t: "report";
  report: string;
}

/** A page of reports. `more`: there are earlier ones. */
export interface Reports {
  t: "admin.report.list";
  items: Array<Report>;
  more: boolean;
}

/** Decide about a report; with a strike or a ban of whom it is about, in the same transaction. `note` is for admins only. */
export interface ResolveReport {
  t: "admin.report.resolve";
  report: string;
  outcome: "dismissed" | "upheld";
  note?: string;
  strike?: boolean;
  ban?: BanFor | null;
  tenant?: string;
}

/** Whether whom it is about is banned by it. */
export interface Resolved {
  t: "admin.report.resolved";
  banned: boolean;
}

/** End all logins of a user and close their sockets (4404). It is no ban: they may sign in again. */
export interface RevokeUser {
  t: "admin.revoke";
  user: string;
  tenant?: string;
}

/** Exchange a refresh token for a new pair. It works once; a second time ends the login. */
export interface RotateToken {
  t: "auth.rotate";
  refresh_token: string;
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
}

/** States of conversations. Keep `cursor` for the next time. */
export interface SessionState {
  t: "session.state";
  conversations: Array<Counters>;
  cursor: string;
  more: boolean;
}

/** Begin or end maintenance on all nodes: everybody is told, nobody is matched. `lasts`: how long it will take. */
export interface SetMaintenance {
  t: "admin.maintenance";
  on: boolean;
  message?: string;
  lasts?: number | null;
  tenant?: string;
}

/** From their next search on match a user only with others of whom this was said. They are not told. */
export interface ShadowUser {
  t: "admin.shadow";
  user: string;
  on?: boolean;
  tenant?: string;
}

/** A report with what was said. That it was read is in the audit log. */
export interface ShowReport {
  t: "admin.report";
  report: string;
  tenant?: string;
}

/** What is known of a user. */
export interface ShowUser {
  t: "admin.user";
  user: string;
  tenant?: string;
}

/** Become somebody with nothing but a device. The same `device` (a random secret that it keeps) is the same user again. */
export interface SignUp {
  t: "auth.anonymous";
  tenant?: string;
  name?: string | null;
  device?: string | null;
}

/** End the match and look for the next one, with what was asked for last. `ticket` as in `match.leave`. */
export interface SkipMatch {
  t: "match.skip";
  ticket?: string | null;
}

/** From now on a member may send one message in `seconds`; 0 ends it. Only for the creator of a group. */
export interface SlowConversation {
  t: "conversation.slow";
  conversation: string;
  seconds: number;
}

/** A strike. From as many on as the configuration says each one ends in a ban. */
export interface StrikeUser {
  t: "admin.strike";
  user: string;
  reason: string;
  tenant?: string;
}

/** `count`: the strikes that count now. `ban`: the one that followed; `until` is null where it is for ever. */
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

/** Remove a file of one's own, from every conversation that it is used in. */
export interface UploadDelete {
  t: "upload.delete";
  upload: string;
}

/** What each command is answered with, when it is not refused. */
export interface ResultOf {
  "auth.logout": Ok;
  "auth.refresh": AuthRefreshed;
  "auth.ticket": Ticket;
  "conversation.create": ConversationResult;
  "conversation.get": ConversationResult;
  "conversation.list": Conversations;
  "conversation.open": ConversationResult;
  "conversation.slow": Ok;
  "conversation.sync": Changes;
  "match.cancel": Ok;
  "match.confirm": Ok;
  "match.find": MatchQueued;
  "match.keep": Ok;
  "match.leave": Ok;
  "match.skip": Ok;
  "match.status": MatchQueued;
  "message.history": Messages;
  "message.send": MessageAck;
  "ping": Pong;
  "receipt.delivered": Ok;
  "receipt.read": Ok;
  "report.create": ReportMade;
  "session.sync": SessionState;
  "typing.start": Ok;
  "typing.stop": Ok;
  "upload.delete": Ok;
}

export type Command = Logout | RefreshAuth | MakeTicket | CreateConversation | GetConversation | ListConversations | OpenConversation | SlowConversation | SyncConversation | CancelMatch | ConfirmMatch | FindMatch | KeepMatch | LeaveMatch | SkipMatch | MatchStatus | MessageHistory | SendMessage | Ping | ReceiptDelivered | ReceiptRead | CreateReport | SyncSession | TypingStart | TypingStop | UploadDelete;
export type Answer = Ok | AuthRefreshed | Ticket | ConversationResult | Conversations | Changes | MatchQueued | Messages | MessageAck | Pong | ReportMade | SessionState | Error;
export type ServerEvent = Connected | TokenExpiring | MaintenanceMode | Behind | MatchProposed | MatchFound | MatchEnded | MatchRequeued | MatchExpired | ConversationSlowed | ConversationUpdate | MatchKept | MessageDelivered | MessageNew | MessageRead | TypingStarted | TypingStopped;
export type RefusalCode = "bad_request" | "unknown_command" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "rate_limited" | "too_large" | "unavailable" | "timeout" | "maintenance" | "banned" | "blocked" | "internal";
export type CloseCode = 1001 | 1009 | 4000 | 4001 | 4002 | 4029 | 4400 | 4403 | 4404;
export type ClientFrame = [number, Command];
export type ServerFrame = [number, Answer] | [0, ServerEvent];
