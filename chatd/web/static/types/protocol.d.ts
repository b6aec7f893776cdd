// The wire types of chatd. Generated: do not edit, run `chatd schema --write docs`.
// A frame is [id, body]: the client chooses the id of a command, its answer has the same id, an event has 0.
// An UnansweredCommand may have the id 0: it gets no answer, and its refusal is the event "error".

/** Accept a request, also one that was declined: the requester becomes a member. The user who has written to the */
export interface AcceptRequest {
  t: "request.accept";
  conversation: string;
}

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

/** A user has pressed a button of a message that this bot has sent. `data` is that of the button. */
export interface Action {
  t: "action";
  id: string;
  conversation: string;
  message: string;
  user: string;
  data: string;
  at: number;
}

/** The action is committed, and goes to the bot. `duplicate`: it had been committed before, and this repeats the */
export interface ActionAck {
  t: "message.action";
  client_id: string;
  action: string;
  at: number;
  duplicate: boolean;
}

/** The bot has answered an action of the user. It is not stored. `alert`: show it until the user dismisses it. */
export interface ActionAnswer {
  t: "action.answer";
  action: string;
  conversation: string;
  message: string;
  text: string;
  alert: boolean;
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

/** Add a bot: a user that is a program, with a token. Without `lasts` the token does not expire. */
export interface AddBot {
  t: "admin.bot.add";
  handle: string;
  name?: string | null;
  description?: string;
  picture_url?: string | null;
  reads?: "all" | "commands";
  webhook?: string | null;
  lasts?: number | null;
  tenant?: string;
}

/** Make a user a contact, who is not notified. To add a contact again changes nothing. */
export interface AddContact {
  t: "contact.add";
  user: string;
}

/** Add users to a group. Users who are members already are not changed. Users who do not let the requester add them */
export interface AddMembers {
  t: "member.add";
  conversation: string;
  users: Array<string>;
}

/** React to a message with an emoji. If `messages.reactions` is `one`, it replaces the previous reaction of the */
export interface AddReaction {
  t: "reaction.add";
  conversation: string;
  message: string;
  emoji: string;
}

/** Make a service token for the backend of an app. Without `lasts` it does not expire. */
export interface AddToken {
  t: "admin.token.add";
  name: string;
  scopes: Array<"bots:write" | "conversations:write" | "messages:write" | "moderation" | "read" | "users:write">;
  lasts?: number | null;
  tenant?: string;
}

/** Add a webhook endpoint, which gets the events of these types from now on. */
export interface AddWebhook {
  t: "admin.webhook.add";
  url: string;
  types: Array<string>;
  note?: string;
  tenant?: string;
}

/** The figures: days in their order, cohorts with the latest week first. */
export interface Analytics {
  t: "admin.analytics.figures";
  days: Array<DayFigures>;
  cohorts: Array<Cohort>;
}

/** An argument of a command. `choices`: the values of the type `choice`. Required arguments are before others. */
export interface Argument {
  name: string;
  type: "boolean" | "choice" | "integer" | "number" | "string" | "user";
  description?: Record<string, unknown>;
  required?: boolean;
  choices?: Array<string>;
}

/** Get the members who have read or received a message. `cursor`: from the page before. */
export interface AskReceipts {
  t: "message.receipts";
  conversation: string;
  message: string;
  cursor?: string | null;
  limit?: number;
}

/** Get the number of unread messages, for the badge of an app. */
export interface AskUnread {
  t: "unread.total";
}

/** An attachment as a client names it. */
export interface AttachmentInput {
  type?: "audio" | "file" | "image" | "video" | "voice" | "contact" | "link" | "location" | null;
  upload?: string | null;
  waveform?: Array<number> | null;
  url?: string | null;
  latitude?: number | null;
  longitude?: number | null;
  accuracy?: number | null;
  name?: string | null;
  address?: string | null;
  phones?: Array<string> | null;
  emails?: Array<string> | null;
  title?: string | null;
  description?: string | null;
  image?: string | null;
}

/** An audio file, and its `duration`, if it is known. */
export interface AudioAttachment {
  type: "audio";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
  duration?: number;
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

/** A page of bans. `cursor` is null on the last page. */
export interface BanPage {
  t: "server.ban.page";
  items: Array<Ban>;
  cursor: string | null;
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

/** Decline a request and block its sender, as user.block does: that declines all their requests. */
export interface BlockSender {
  t: "request.block";
  conversation: string;
}

/** Block a user, by user id or by the alias from a match. Blocking the same id again changes nothing. */
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

/** Blocked users, ordered by id. `cursor` is null on the last page. */
export interface Blocks {
  t: "blocks";
  items: Array<Blocked>;
  cursor: string | null;
}

/** A bot. `reads`: what it receives in groups. `commands`: how many it has declared. */
export interface BotAccount {
  id: string;
  handle: string;
  name: string;
  description: string;
  picture_url: string | null;
  avatar: string | null;
  reads: "all" | "commands";
  added_by: string;
  created_at: number;
  deactivated_at: number | null;
  commands: number;
  token: BotToken | null;
  webhook: BotWebhook | null;
}

/** The new bot. `token` and `webhook_secret` are shown this once; the latter is null without a webhook. */
export interface BotAdded {
  t: "bot.added";
  bot: BotAccount;
  token: string;
  webhook_secret: string | null;
}

/** A user has sent a command for this bot. `text`: the whole message; `args`: the arguments by name, of the declared */
export interface BotCommand {
  t: "bot.command";
  conversation: string;
  message: string;
  seq: number;
  sender: string;
  name: string;
  args: Record<string, unknown>;
  text: string;
  created_at: number;
}

/** All bots of the tenant. */
export interface BotList {
  t: "bot.list";
  items: Array<BotAccount>;
}

/** The bot as it is now. `webhook_secret`: of a webhook that is new; shown this once. */
export interface BotResult {
  t: "bot";
  bot: BotAccount;
  webhook_secret: string | null;
}

/** The state of the token of a bot. `last_used_at` is exact to a minute. `previous_until`: the end of the secret */
export interface BotToken {
  issued_at: number;
  expires_at: number | null;
  revoked_at: number | null;
  last_used_at: number | null;
  previous_until: number | null;
}

/** The new token of a bot. It is shown this once. */
export interface BotTokenIssued {
  t: "bot.token";
  token: string;
}

/** The webhook endpoint of a bot. `endpoint`: for the commands on webhooks, which show its queue. */
export interface BotWebhook {
  endpoint: string;
  url: string;
  disabled_at: number | null;
  disabled_reason: string | null;
  failing_since: number | null;
}

/** A button of a message of a bot. */
export interface Button {
  label: string;
  kind?: "command" | "copy" | "press" | "url";
  data?: string | null;
  url?: string | null;
  command?: string | null;
  text?: string | null;
  style?: "danger" | "default" | "primary";
}

/** End the search. With `ticket`, only the search with this ticket. */
export interface CancelMatch {
  t: "match.cancel";
  ticket?: string | null;
}

/** Cancel a scheduled message. */
export interface CancelScheduled {
  t: "schedule.cancel";
  id: string;
}

/** States of what changed, each list in the order of `rev`. After this answer everything up to `rev` is known. */
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

/** Remove parts of a user's profile, such as an unwanted picture. */
export interface ClearProfile {
  t: "admin.profile.clear";
  user: string;
  fields: Array<"avatar" | "handle" | "name" | "picture_url" | "profile" | "status_text">;
  reason: string;
  tenant?: string;
}

/** Close a poll: nobody can vote any more, and the counts stay. Closing a closed poll changes nothing. */
export interface ClosePoll {
  t: "poll.close";
  conversation: string;
  message: string;
}

/** The session has ended: the last event of `GET /v1/events`, which has no close frames. `code`, `name` and `reason` */
export interface Closed {
  t: "closed";
  code: number;
  name: string;
  reason: string;
  reconnect: boolean;
}

/** Users whose first session was in the week that begins on `week`. `retention`: by a number of days, the share that */
export interface Cohort {
  week: string;
  users: number;
  retention: Record<string, unknown>;
}

/** A command of a message. `bot`: for whom it is. `args`: the arguments by name, of the types that the bot has */
export interface CommandCall {
  bot: string;
  name: string;
  args: Record<string, unknown>;
}

/** A page of commands. `cursor` is null on the last page. */
export interface CommandList {
  t: "bot.commands";
  items: Array<OfferedCommand>;
  cursor: string | null;
}

/** The refusal of a command that was sent under id 0, with the fields of the result `error`. */
export interface CommandRefused {
  t: "error";
  code: "bad_request" | "unknown_command" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "rate_limited" | "too_large" | "unavailable" | "timeout" | "maintenance" | "banned" | "blocked" | "internal";
  message: string;
  retryable: boolean;
  retry_after?: number;
  details?: Record<string, unknown>;
  command?: string;
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
  external_id?: string;
}

/** Limits of this connection. Sizes are in bytes, rates in commands per second. */
export interface ConnectionLimits {
  max_message: number;
  max_frames: number;
  max_text: number;
  commands_per_second: number;
  commands_burst: number;
}

/** A user on the list of contacts, and since when. */
export interface Contact {
  user: string;
  name: string | null;
  created_at: number;
}

/** A person or a place to call or to write to. */
export interface ContactAttachment {
  type: "contact";
  name: string;
  phones?: Array<string>;
  emails?: Array<string>;
}

/** A request of `user`, named by its conversation. `messages`: what they have written in a direct conversation, the */
export interface ContactRequest {
  conversation: string;
  kind: "direct" | "group";
  user: string;
  name: string | null;
  created_at: number;
  title: string | null;
  picture: string | null;
  member_count: number;
  messages: Array<Message>;
}

/** Requests, those of the latest conversations first. `cursor` is null on the last page. */
export interface ContactRequests {
  t: "requests";
  items: Array<ContactRequest>;
  cursor: string | null;
}

/** Contacts, ordered by id. `cursor` is null on the last page. */
export interface Contacts {
  t: "contacts";
  items: Array<Contact>;
  cursor: string | null;
}

/** A conversation as one of its members sees it. `members` holds at most 50 of the `member_count` members. */
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
  requested: string | null;
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

/** The conversation was dissolved. Clients that were offline find it in `gone` of session.sync. */
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

/** A conversation in a list. `messages`: how many it has had. */
export interface ConversationLine {
  conversation: string;
  kind: "direct" | "group" | "match";
  title: string | null;
  creator: string | null;
  members: number;
  messages: number;
  created_at: number;
  active_at: number;
}

/** A page of conversations. `more`: there are older ones. */
export interface ConversationLines {
  t: "admin.conversation.list";
  items: Array<ConversationLine>;
  more: boolean;
}

/** A conversation. `members`: how many; `some_members`: the first 200. `disappear_s`: after how many seconds */
export interface ConversationMetadata {
  t: "admin.conversation.shown";
  conversation: string;
  kind: "direct" | "group" | "match";
  title: string | null;
  creator: string | null;
  members: number;
  messages: number;
  created_at: number;
  active_at: number;
  description: string | null;
  external_id: string | null;
  joining: "closed" | "invite" | "open" | "request";
  disappear_s: number;
  keep_days: number | null;
  some_members: Array<MemberLine>;
}

/** A page of conversations. `cursor` is null on the last page. */
export interface ConversationPage {
  t: "server.conversation.page";
  items: Array<ListedConversation>;
  cursor: string | null;
}

/** A conversation as the requester sees it. `created`: the command has created it. `invited`: the users who were */
export interface ConversationResult {
  t: "conversation";
  conversation: Conversation;
  created: boolean;
  invited?: Array<string>;
}

/** A conversation is new for this user, or something other than its messages has changed. */
export interface ConversationUpdate {
  t: "conversation.update";
  conversation: Conversation;
  rev?: number;
}

/** A page of conversations. `cursor` is null on the last page. */
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
  requested: string | null;
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

/** Create a group. Its creator becomes the owner. Users who do not let the requester add them are asked to join. */
export interface CreateConversation {
  t: "conversation.create";
  members: Array<string>;
  title?: string | null;
}

/** Create an invite link of a group. `expires_in`: in seconds; `uses`: how many users may join by it. Without them */
export interface CreateInvite {
  t: "invite.create";
  conversation: string;
  expires_in?: number | null;
  uses?: number | null;
}

/** Send a poll. It is a message: the question is its `text`, and `poll` has the options. */
export interface CreatePoll {
  t: "poll.create";
  conversation: string;
  client_id: string;
  question: string;
  options: Array<string>;
  multiple?: boolean;
  anonymous?: boolean;
  closes_at?: number | null;
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

/** A day in UTC. Shares are between 0 and 1; null: there was nothing to divide by, or it is not measured yet. */
export interface DayFigures {
  day: string;
  active_users: number;
  new_users: number;
  weekly_users: number | null;
  monthly_users: number | null;
  messages: number;
  average_length: number | null;
  matches: number;
  matches_ended: number;
  matches_kept: number;
  average_match_s: number | null;
  delivery_rate: number | null;
  read_rate: number | null;
  unread_age_s: number | null;
}

/** Approve or decline a request to join. */
export interface DecideRequest {
  t: "join.decide";
  conversation: string;
  user: string;
  approve: boolean;
}

/** A command of a bot. `scope`: where it is offered. */
export interface Declared {
  name: string;
  description: Record<string, unknown>;
  args?: Array<Argument>;
  scope?: "all" | "direct" | "groups";
}

/** The commands that the bot has declared, in its order. */
export interface DeclaredCommands {
  t: "bot.declared";
  items: Array<Declared>;
}

/** Decline a request. Its sender is not notified and sees no difference. To decline it again changes nothing. */
export interface DeclineRequest {
  t: "request.decline";
  conversation: string;
}

/** Delete a message: for all members (a tombstone stays), or hide it on all devices of the requester only. */
export interface DeleteMessage {
  t: "message.delete";
  conversation: string;
  message: string;
  scope?: "all" | "me";
}

/** A former member. `actor`: the user who removed them, or themselves; null if no user did. */
export interface Departure {
  user: string;
  rev: number;
  left_at: number;
  actor: string | null;
}

/** Disable a webhook endpoint: it gets no events until it is enabled. */
export interface DisableWebhook {
  t: "admin.webhook.disable";
  endpoint: string;
  reason?: string;
  tenant?: string;
}

/** Dissolve a group. All memberships end, and no user has access to it any more. */
export interface DissolveConversation {
  t: "conversation.dissolve";
  conversation: string;
}

/** What a draft has besides its text: the fields of message.send. Attachments are as the client named them. */
export interface DraftParts {
  attachments?: Array<AttachmentInput>;
  reply_to?: string | null;
  thread?: string | null;
}

/** Drain the node of this name, or all nodes, and stop them. Clients are asked to reconnect, spread over `over` */
export interface DrainNodes {
  t: "admin.drain";
  over?: number;
  node?: string;
  tenant?: string;
}

/** The text of a message until the time `until`. */
export interface Edit {
  text: string | null;
  until: number;
}

/** Change the given fields of a conversation. An empty text clears the field. */
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

/** Change the text of a message that the requester has sent, within `messages.edit_window`. */
export interface EditMessage {
  t: "message.edit";
  conversation: string;
  message: string;
  text?: string | null;
  mentions?: Array<string> | null;
  everybody?: boolean | null;
  actions?: Array<Array<Button>> | null;
}

/** Change the text or the time of a scheduled message, or both. A failed one is scheduled again. */
export interface EditScheduled {
  t: "schedule.edit";
  id: string;
  text?: string | null;
  at?: number | null;
}

/** Change a webhook endpoint. Fields that are left out stay as they are. */
export interface EditWebhook {
  t: "admin.webhook.edit";
  endpoint: string;
  url?: string | null;
  types?: Array<string> | null;
  note?: string | null;
  tenant?: string;
}

/** A page of earlier versions of a message. `cursor` is null on the last page. */
export interface Edits {
  t: "message.edits";
  items: Array<Edit>;
  cursor: string | null;
}

/** Enable a webhook endpoint. Events that wait are sent at once; those that happened while it was disabled are not */
export interface EnableWebhook {
  t: "admin.webhook.enable";
  endpoint: string;
  tenant?: string;
}

/** End one of your logins, and close its connections with 4404. Your other devices get `login.ended`. */
export interface EndLogin {
  t: "login.end";
  login: string;
}

/** End all your logins except the current one, and close their connections with 4404. */
export interface EndOtherLogins {
  t: "login.end_others";
}

/** End one login of a user, and close its connections with 4404. The user's other devices get `login.ended`. */
export interface EndUserLogin {
  t: "admin.user.login.end";
  user: string;
  login: string;
  tenant?: string;
}

/** The ids of the logins that have ended now. */
export interface EndedLogins {
  t: "logins.ended";
  logins: Array<string>;
}

/** Erase your account permanently, with all messages, uploads and settings. `confirm` must be true. */
export interface EraseMe {
  t: "me.erase";
  confirm: true;
}

/** The erasure has started. `started`: false if the user had been erased before. */
export interface EraseStarted {
  t: "admin.erased";
  started: boolean;
}

/** Erase a user permanently, with all messages, uploads and settings. `confirm` must be true. */
export interface EraseUser {
  t: "admin.erase";
  user: string;
  confirm: true;
  tenant?: string;
}

/** The erasure has started. Signing in as this user is no longer possible. */
export interface Erased {
  t: "me.erased";
}

/** The erasure has started. `started`: false if the user had been erased before. */
export interface ErasureStarted {
  t: "server.user.erased";
  started: boolean;
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

/** Any file. One that is sent as a file keeps the facts of an image, a video or a sound, too. */
export interface FileAttachment {
  type: "file";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
  width?: number;
  height?: number;
  duration?: number;
  thumbnail?: string;
  placeholder?: string;
}

/** Search for a partner. A new search replaces the previous one. */
export interface FindMatch {
  t: "match.find";
  queue?: string;
  tags?: Array<string>;
  attributes?: Record<string, unknown>;
  accept?: Accepts;
}

/** Find users by id, external id, handle, or the beginning of a word of the name; without a query, list all. */
export interface FindUsers {
  t: "admin.users";
  query?: string;
  before?: string | null;
  limit?: number;
  tenant?: string;
}

/** Follow the thread of a message, so that thread.list has it. Its replies until now count as read. */
export interface FollowThread {
  t: "thread.follow";
  conversation: string;
  thread: string;
}

/** Send a copy of the `message` of the conversation `source` to another conversation. */
export interface ForwardMessage {
  t: "message.forward";
  conversation: string;
  client_id: string;
  source: string;
  message: string;
}

/** The forwarded message is committed. See message.ack. */
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

/** The first sender of a forwarded message, and the time. */
export interface ForwardedFrom {
  sender: string;
  created_at: number;
}

/** A page of users, in alphabetical order of what was found. `cursor` is null on the last page. */
export interface FoundUsers {
  t: "user.results";
  items: Array<User>;
  cursor: string | null;
}

/** A report, and the messages around the reported one. */
export interface FullReport {
  t: "admin.report.full";
  report: Report;
  transcript: Array<Evidence>;
}

/** Get one conversation. */
export interface GetConversation {
  t: "conversation.get";
  conversation: string;
}

/** Get the commands that this bot has declared. */
export interface GetDeclared {
  t: "bot.commands.get";
}

/** Get your own profile. */
export interface GetOwnUser {
  t: "me.get";
}

/** Get the profile of a user, by id or by `@handle`. */
export interface GetUser {
  t: "user.get";
  user: string;
}

/** An image. `width` and `height` in pixels. Members download the `thumbnail` as they do the image. */
export interface ImageAttachment {
  type: "image";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
  width?: number;
  height?: number;
  thumbnail?: string;
  placeholder?: string;
}

/** The settings of a conversation that all its members share. */
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
  requested: string | null;
}

/** Show the profile of a user, their logins, strikes and bans: the latest 200 of each. */
export interface InspectUser {
  t: "admin.user.details";
  user: string;
  tenant?: string;
}

/** An invite link, without its secret. */
export interface Invite {
  id: string;
  creator: string;
  created_at: number;
  expires_at: number | null;
  uses_left: number | null;
}

/** The new link. `secret` is shown only this once. */
export interface InviteCreated {
  t: "invite.created";
  invite: string;
  secret: string;
  expires_at: number | null;
}

/** A user who was asked to join, by the member `by`. */
export interface Invited {
  user: string;
  name: string | null;
  by: string;
  created_at: number;
}

/** Users who were asked to join, ordered by id. `cursor` is null on the last page. */
export interface InvitedUsers {
  t: "request.invited";
  items: Array<Invited>;
  cursor: string | null;
}

/** Invite links, the latest first. */
export interface Invites {
  t: "invites";
  items: Array<Invite>;
}

/** Why one user of a bulk was refused; `code` is one of the table of refusals. */
export interface ItemError {
  code: string;
  message: string;
}

/** Join a group: by the `secret` of an invite link, or by its id where joining is open. */
export interface JoinConversation {
  t: "conversation.join";
  conversation?: string | null;
  secret?: string | null;
  text?: string | null;
}

/** The request of this user to join was declined. */
export interface JoinDeclined {
  t: "join.declined";
  conversation: string;
  user: string;
}

/** A user asks to join. Sent to the members who may approve it. */
export interface JoinRequested {
  t: "join.requested";
  conversation: string;
  user: string;
}

/** The joined group. It is null if a request was sent instead (`requested`): a member has to approve it. */
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
  bot: boolean;
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

/** A label, and the number of conversations that have it. */
export interface LabelCount {
  label: string;
  conversations: number;
}

/** All labels of the requester, in the order of their characters. */
export interface Labels {
  t: "labels";
  items: Array<LabelCount>;
}

/** Leave a group. If the owner leaves, the member with the highest role, and among equals the longest membership, */
export interface LeaveConversation {
  t: "conversation.leave";
  conversation: string;
}

/** End your match; the partners get `match.ended`. With `ticket`, only the match that this ticket led to. */
export interface LeaveMatch {
  t: "match.leave";
  ticket?: string | null;
}

/** Revoke a ban. That of a user takes with it the bans of devices that were added by the same command. */
export interface LiftBan {
  t: "admin.ban.lift";
  ban: string;
  tenant?: string;
}

/** A link that the sender has attached. The link filters have accepted it, and its `image`. */
export interface LinkAttachment {
  type: "link";
  url: string;
  title?: string;
  description?: string;
  image?: string;
}

/** What the page of the first link in a message says about itself. `url`: the link, as it is in the message. */
export interface LinkPreview {
  url: string;
  title: string;
  description?: string;
  site_name?: string;
  image?: string;
}

/** List the actions that the bot has not taken, the oldest first. Call it when you have connected, and after */
export interface ListActions {
  t: "bot.actions";
  cursor?: string | null;
  limit?: number;
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

/** List the users that the requester has blocked. */
export interface ListBlocks {
  t: "block.list";
  cursor?: string | null;
  limit?: number;
}

/** List the bots of a tenant, with the state of their tokens and webhooks. */
export interface ListBots {
  t: "admin.bots";
  tenant?: string;
}

/** List the requests to the requester: to accept a direct conversation, or to join a group. `declined`: those that */
export interface ListContactRequests {
  t: "request.list";
  cursor?: string | null;
  limit?: number;
  declined?: boolean;
}

/** List the contacts that the requester has added, accepted a request of, or kept a match with. */
export interface ListContacts {
  t: "contact.list";
  cursor?: string | null;
  limit?: number;
}

/** List the conversations of the requester, the most recently active first; with `order` "pinned" the pinned ones */
export interface ListConversations {
  t: "conversation.list";
  cursor?: string | null;
  limit?: number;
  order?: "active" | "pinned";
  kind?: "direct" | "group" | "match" | null;
  archived?: boolean | null;
  hidden?: boolean | null;
  unread?: boolean | null;
  label?: string | null;
}

/** List conversations without their messages, the latest first. `user`: only those of this member. `before`: the */
export interface ListConversationsOfAll {
  t: "admin.conversations";
  user?: string | null;
  before?: string | null;
  limit?: number;
  tenant?: string;
}

/** List the users who were asked to join a group and have not accepted. Whether they have declined does not show. */
export interface ListInvited {
  t: "request.invited";
  conversation: string;
  cursor?: string | null;
  limit?: number;
}

/** List the valid invite links of a group. */
export interface ListInvites {
  t: "invite.list";
  conversation: string;
}

/** List the requester's labels. conversation.settings puts them on conversations. */
export interface ListLabels {
  t: "label.list";
}

/** List your logins, the one that was used last first. At most 200 are listed. */
export interface ListLogins {
  t: "login.list";
}

/** List the members of a conversation, ordered by id. `cursor`: from the page before. */
export interface ListMembers {
  t: "member.list";
  conversation: string;
  cursor?: string | null;
  limit?: number;
}

/** List the pinned messages of a conversation. */
export interface ListPins {
  t: "message.pins";
  conversation: string;
}

/** List the users who reacted to a message, with this emoji or with any. `cursor`: from the page before. */
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

/** List the requests to join a group. */
export interface ListRequests {
  t: "join.list";
  conversation: string;
}

/** List the scheduled messages of the requester. `cursor`: from the page before. */
export interface ListScheduled {
  t: "schedule.list";
  cursor?: string | null;
  limit?: number;
}

/** List the requester's starred messages of all conversations, the latest star first. */
export interface ListStarred {
  t: "message.starred";
  cursor?: string | null;
  limit?: number;
}

/** List the threads that the requester follows, the one with the latest reply first. `unread`: only those with */
export interface ListThreads {
  t: "thread.list";
  cursor?: string | null;
  limit?: number;
  unread?: boolean;
}

/** List the service tokens of a tenant, newest first, without their secrets. */
export interface ListTokens {
  t: "admin.tokens";
  tenant?: string;
}

/** List the logins of a user, the one that was used last first. At most 200 are listed. */
export interface ListUserLogins {
  t: "admin.user.logins";
  user: string;
  tenant?: string;
}

/** List the users who have chosen an option of a poll. `cursor`: from the page before. */
export interface ListVoters {
  t: "poll.voters";
  conversation: string;
  message: string;
  option: number;
  cursor?: string | null;
  limit?: number;
}

/** List the events of a webhook endpoint, newest first. `before`: the last `id` of the previous page. */
export interface ListWebhookDeliveries {
  t: "admin.webhook.deliveries";
  endpoint: string;
  state?: "any" | "parked" | "pending";
  before?: string | null;
  limit?: number;
  tenant?: string;
}

/** List the webhook endpoints of a tenant, with the state of their queues. */
export interface ListWebhooks {
  t: "admin.webhooks";
  tenant?: string;
}

/** A conversation without its members. `active_at`: the time of the last message, or of the creation. */
export interface ListedConversation {
  id: string;
  external_id: string | null;
  kind: "direct" | "group" | "match";
  title: string | null;
  member_count: number;
  seq: number;
  rev: number;
  created_at: number;
  active_at: number;
}

/** A user, and when they were created or changed last, with their profile, roles and deactivation. */
export interface ListedUser {
  user: ServerUser;
  updated_at: number;
}

/** A place. */
export interface LocationAttachment {
  type: "location";
  latitude: number;
  longitude: number;
  accuracy?: number;
  name?: string;
  address?: string;
}

/** A login of the user. */
export interface Login {
  id: string;
  name: string | null;
  platform: string | null;
  created_at: number;
  last_seen: number;
  address: string | null;
}

/** The user has signed in with another device, or once more. */
export interface LoginAdded {
  t: "login.added";
  login: Login;
}

/** Logins of the user have ended, by a command of the user or of an admin, or because a stolen refresh token was */
export interface LoginEnded {
  t: "login.ended";
  logins: Array<string>;
}

/** A login after a change. */
export interface LoginState {
  t: "login";
  login: Login;
}

/** A login of the user has another name. */
export interface LoginUpdated {
  t: "login.updated";
  login: Login;
}

/** The logins of the user that have not ended. */
export interface Logins {
  t: "logins";
  items: Array<Login>;
  current: string | null;
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

/** The requester's own marks on a message, as they are now. */
export interface Mark {
  conversation: string;
  message: string;
  seq: number;
  starred_at: number | null;
  hidden: boolean;
}

/** The match has ended. Its conversation can no longer be read or written. `reason`: `left`, `skipped` or */
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

/** A partner was found. Send `match.confirm` within `expires_in` seconds. Only in queues that require */
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

/** A proposed match was withdrawn: a partner did not confirm or left. Your search continues with its waiting */
export interface MatchRequeued {
  t: "match.requeued";
  ticket: string;
  reason: string;
}

/** Get the state of your search. It changes nothing. */
export interface MatchStatus {
  t: "match.status";
}

/** A member of a conversation, with their receipts. `rev` is the number of the last change. */
export interface Member {
  user: string;
  name: string | null;
  handle: string | null;
  avatar: string | null;
  picture_url: string | null;
  profile_version: number;
  role: "admin" | "member" | "moderator" | "owner";
  delivered_seq: number;
  read_seq: number;
  joined_at: number;
  rev: number;
  bot?: boolean;
}

/** A user is no longer a member. The former member gets it as the last event of the conversation. */
export interface MemberLeft {
  t: "member.left";
  conversation: string;
  rev: number;
  departure: Departure;
}

/** A member, by the user id also in a match. */
export interface MemberLine {
  user: string;
  name: string | null;
  role: "admin" | "member" | "moderator" | "owner";
  joined_at: number;
  delivered_seq: number;
  read_seq: number;
}

/** A member as they are now. */
export interface MemberResult {
  t: "member";
  member: Member;
}

/** A user has become a member, or has another role. */
export interface MemberUpdate {
  t: "member.update";
  conversation: string;
  rev: number;
  member: Member;
}

/** Members of a conversation. `cursor` is null on the last page. `invited`, in the answer to member.add: the users */
export interface Members {
  t: "members";
  items: Array<Member>;
  cursor: string | null;
  invited?: Array<string>;
}

/** A message. `seq` is its place in the conversation, `rev` the number of its last change. */
export interface Message {
  id: string;
  seq: number;
  rev: number;
  sender: string;
  client_id: string;
  text: string | null;
  attachments: Array<ImageAttachment | VideoAttachment | AudioAttachment | VoiceAttachment | FileAttachment | LinkAttachment | LocationAttachment | ContactAttachment>;
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
  thread?: string;
  replies?: Replies;
  poll?: Poll;
  voted?: Array<number>;
  preview?: LinkPreview;
  command?: CommandCall;
  concealed?: boolean;
  actions?: Array<Array<Button>>;
}

/** The message is committed. `duplicate`: it had been committed before, and this repeats the first ack. */
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

/** A member has received all messages up to `seq`. */
export interface MessageDelivered {
  t: "message.delivered";
  conversation: string;
  user: string;
  seq: number;
  rev: number;
}

/** Get the earlier versions of a message, the oldest first. `messages.edit_history` decides who may. */
export interface MessageEdits {
  t: "message.edits";
  conversation: string;
  message: string;
  cursor?: string | null;
  limit?: number;
}

/** Get a page of messages: the latest, those before the seq `before`, or those after the seq `after`. The order is */
export interface MessageHistory {
  t: "message.history";
  conversation: string;
  before?: number | null;
  after?: number | null;
  limit?: number;
}

/** A message was committed. Sent to every session of every member except the one that sent it. */
export interface MessageNew {
  t: "message.new";
  conversation: string;
  rev: number;
  message: Message;
}

/** A member has read all messages up to `seq`. `unread` counts the unread messages of that member, up to 1000; */
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

/** A message has changed; `message` is its new state. `change` is the reason, `by` the user who has changed it, if */
export interface MessageUpdate {
  t: "message.update";
  conversation: string;
  rev: number;
  message: Message;
  change: "actions" | "close" | "delete" | "edit" | "expire" | "pin" | "preview" | "reaction" | "vote";
  by?: string;
  emoji?: string;
  on?: boolean;
}

/** A page of messages. `more`: there are further messages in the requested direction. */
export interface Messages {
  t: "messages";
  items: Array<Message>;
  more: boolean;
}

/** Answer an action, once and within `actions.answer_within`. Only the user who has pressed the button sees `text`: */
export interface Notify {
  t: "bot.notify";
  action: string;
  text: string;
  alert?: boolean;
}

/** An argument of a command. `choices`: the values of the type `choice`. */
export interface OfferedArgument {
  name: string;
  type: "boolean" | "choice" | "integer" | "number" | "string" | "user";
  description: string;
  required: boolean;
  choices: Array<string>;
}

/** A command that a bot offers. `text`: how a message with it begins; it names the bot if several bots have a */
export interface OfferedCommand {
  bot: string;
  handle: string | null;
  bot_name: string | null;
  name: string;
  text: string;
  description: string;
  args: Array<OfferedArgument>;
}

/** List the commands that bots offer in a conversation, ordered by name; with `prefix`, those that begin with it. */
export interface OfferedCommands {
  t: "bot.commands";
  conversation: string;
  prefix?: string;
  locale?: string | null;
  cursor?: string | null;
  limit?: number;
}

/** The command succeeded. `ticket`: in the answer to `match.skip`, the ticket of the new search. */
export interface Ok {
  t: "ok";
  ticket?: string;
}

/** Open the direct conversation with another user. Two users have only one. */
export interface OpenConversation {
  t: "conversation.open";
  user: string;
}

/** The conversation as the requester sees it now. */
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

/** The content of an event `action` that the bot has not taken. */
export interface PendingAction {
  id: string;
  conversation: string;
  message: string;
  user: string;
  data: string;
  at: number;
}

/** Actions that the bot has not taken. `cursor` is null on the last page. */
export interface PendingActions {
  t: "bot.actions";
  items: Array<PendingAction>;
  cursor: string | null;
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

/** The options of a poll. Votes name an option by its index, which begins at 0. */
export interface Poll {
  options: Array<PollOption>;
  multiple: boolean;
  anonymous: boolean;
  voters: number;
  closes_at?: number;
  closed_at?: number;
}

/** The poll is committed. See message.ack. `options`: the stored options, if a filter has changed one. */
export interface PollAck {
  t: "poll.ack";
  client_id: string;
  message: string;
  seq: number;
  rev: number;
  created_at: number;
  duplicate: boolean;
  status: "sent";
  expires_at?: number;
  text?: string;
  options?: Array<string>;
}

/** An option of a poll, and the number of its votes. */
export interface PollOption {
  text: string;
  votes: number;
}

/** The user has voted in a poll with another device. `options`: their vote as it is now, empty if it was removed. */
export interface PollVoted {
  t: "poll.voted";
  conversation: string;
  message: string;
  options: Array<number>;
  vote_rev: number;
}

/** The answer to `ping`. */
export interface Pong {
  t: "pong";
  ts: number;
  server_time: number;
}

/** The counts of a conversation. `online`: members who are online or away and visible to you; in large groups, */
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

/** Press a button of the kind `press`. `action` is its `data`. */
export interface PressButton {
  t: "message.action";
  conversation: string;
  message: string;
  action: string;
  client_id: string;
}

/** A group as a user with an invite link sees it. `asks`: a member has to approve each request to join. */
export interface Preview {
  t: "invite.preview";
  conversation: string;
  title: string | null;
  description: string | null;
  picture: string | null;
  member_count: number;
  asks: boolean;
}

/** What happened to one user of a bulk. `user` is the id; `error` comes with `refused`. */
export interface PutOutcome {
  user: string;
  outcome: "created" | "refused" | "unchanged" | "updated";
  error?: ItemError;
}

/** The result of each user, in the order of the request. */
export interface PutResults {
  t: "server.users.put";
  items: Array<PutOutcome>;
}

/** Get the presence of users. */
export interface QueryPresence {
  t: "presence.query";
  users: Array<string>;
}

/** Get the profiles of up to 100 users, by id or by the alias of a member of your running match. */
export interface QueryUsers {
  t: "user.query";
  users: Array<string>;
  changed_since?: string | null;
}

/** The hours without notifications, from and to as "22:30", in a time zone such as Europe/Berlin. If `to` is before */
export interface Quiet {
  from: string;
  to: string;
  zone: string;
}

/** An excerpt of the message that a message replies to, as it is now: if it changes, so does every quote of it. */
export interface Quote {
  message: string;
  seq: number;
  sender: string;
  text: string | null;
  deleted: boolean;
}

/** Users with their reactions, ordered by id. `cursor` is null on the last page. */
export interface Reactions {
  t: "reactions";
  items: Array<Reactor>;
  cursor: string | null;
}

/** A user with their reactions to a message, the earliest first. */
export interface Reactor {
  user: string;
  name: string | null;
  emoji: Array<string>;
}

/** Read messages of a conversation, the latest or those before the seq `before`, in their order. The audit log */
export interface ReadMessages {
  t: "admin.conversation.messages";
  conversation: string;
  reason: string;
  before?: number | null;
  limit?: number;
  tenant?: string;
}

/** Report that the requester has read the replies of a thread up to `seq`, the number of a message. */
export interface ReadThread {
  t: "thread.read";
  conversation: string;
  thread: string;
  seq: number;
}

/** Of the `members` that received the message, how many have read it, and how many have it delivered but not */
export interface ReceiptCounts {
  members: number;
  read: number;
  delivered: number;
}

/** Report that the requester's devices have all messages up to `seq`. */
export interface ReceiptDelivered {
  t: "receipt.delivered";
  conversation: string;
  seq: number;
}

/** Report that the requester has read all messages up to `seq`. It counts as delivered, too. */
export interface ReceiptRead {
  t: "receipt.read";
  conversation: string;
  seq: number;
}

/** The recipients who have read a message, and those who have it delivered but not read, ordered by id. `counts` */
export interface Receipts {
  t: "message.receipts";
  read: Array<Recipient>;
  delivered: Array<Recipient>;
  counts: ReceiptCounts;
  cursor: string | null;
}

/** A recipient of a message. */
export interface Recipient {
  user: string;
  name: string | null;
}

/** Renew the authentication of this connection with a new access token of the same user. */
export interface RefreshAuth {
  t: "auth.refresh";
  token: string;
}

/** Remove a bot: its sessions end at once on all nodes, and it is erased as a user is. It cannot be undone. */
export interface RemoveBot {
  t: "admin.bot.remove";
  bot: string;
  tenant?: string;
}

/** Remove a contact from the list. Users with whom the requester has started a direct conversation, or replied to in */
export interface RemoveContact {
  t: "contact.remove";
  user: string;
}

/** Remove a member from a group. The user loses access to the whole group. */
export interface RemoveMember {
  t: "member.remove";
  conversation: string;
  user: string;
}

/** Remove a reaction of the requester. */
export interface RemoveReaction {
  t: "reaction.remove";
  conversation: string;
  message: string;
  emoji: string;
}

/** Remove a webhook endpoint with its events. */
export interface RemoveWebhook {
  t: "admin.webhook.remove";
  endpoint: string;
  tenant?: string;
}

/** Rename one of the requester's labels on all conversations. `to`: the new label, which may exist already; "" */
export interface RenameLabel {
  t: "label.rename";
  label: string;
  to: string;
}

/** Give one of your logins a name. Your other devices get `login.updated`. */
export interface RenameLogin {
  t: "login.rename";
  login: string;
  name: string;
}

/** Send events again that happened from `since` to before `until`, under their `webhook-id`. `state`: only those */
export interface ReplayWebhookEvents {
  t: "admin.webhook.replay";
  endpoint: string;
  since: number;
  until: number;
  state?: "any" | "delivered" | "parked";
  after?: string;
  tenant?: string;
}

/** The replies in the thread of a message, without deleted ones. `last_seq` and `last_at` are those of the last one. */
export interface Replies {
  count: number;
  last_seq: number;
  last_at: number;
  participants: Array<string>;
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

/** A request to join. */
export interface Request {
  user: string;
  name: string | null;
  text: string | null;
  created_at: number;
}

/** The conversation of which the requester is a member now. */
export interface RequestAccepted {
  t: "request.accepted";
  conversation: Conversation;
}

/** A user asks the requester to accept a direct conversation, or to join a group. There is no other event before */
export interface RequestNew {
  t: "request.new";
  conversation: string;
  kind: "direct" | "group";
  user: string;
}

/** Requests to join, the earliest first, at most 200. */
export interface Requests {
  t: "join.requests";
  items: Array<Request>;
}

/** Resolve a report, optionally with a strike or a ban of the reported user, in one transaction. Only admins see */
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

/** Revoke the token of a bot. Its sessions end at once on all nodes. */
export interface RevokeBotToken {
  t: "admin.bot.revoke";
  bot: string;
  tenant?: string;
}

/** Revoke an invite link. */
export interface RevokeInvite {
  t: "invite.revoke";
  conversation: string;
  invite: string;
}

/** Revoke a service token, at once and on all nodes. */
export interface RevokeToken {
  t: "admin.token.revoke";
  token: string;
  tenant?: string;
}

/** Revoke all logins of a user, and close their connections with 4404. The user may sign in again. */
export interface RevokeUser {
  t: "admin.revoke";
  user: string;
  tenant?: string;
}

/** Give a bot a new token. The present one remains valid for `overlap` seconds; with 0 its sessions end at once. */
export interface RotateBotToken {
  t: "admin.bot.token";
  bot: string;
  overlap?: number;
  lasts?: number | null;
  tenant?: string;
}

/** Give a service token a new secret. The present secret remains valid for `overlap` seconds. */
export interface RotateServiceToken {
  t: "admin.token.rotate";
  token: string;
  overlap?: number;
  tenant?: string;
}

/** Exchange a refresh token for a new pair of tokens. Each refresh token works once. */
export interface RotateToken {
  t: "auth.rotate";
  refresh_token: string;
}

/** Replace the secret of a webhook endpoint. For `webhooks.rotation_overlap`, events have a signature of each. */
export interface RotateWebhookSecret {
  t: "admin.webhook.rotate";
  endpoint: string;
  tenant?: string;
}

/** A scheduled message was refused when it was due; `code` is the code of the refusal. `schedule.edit` tries it */
export interface ScheduleFailed {
  t: "schedule.failed";
  id: string;
  conversation: string;
  client_id: string;
  code: string;
}

/** Send a message at a later time. The fields are those of message.send; the permission to send is checked at that */
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
  thread?: string | null;
  at: number;
}

/** The scheduled message as it is now. */
export interface ScheduleResult {
  t: "schedule.edit";
  scheduled: ScheduledMessage;
}

/** The message will be sent at the time `at`, or as soon after it as the server runs. */
export interface Scheduled {
  t: "message.scheduled";
  id: string;
  at: number;
}

/** A message that will be sent at the time `at`, with its attachments as the client named them. */
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
  thread?: string;
}

/** Scheduled messages, in the order in which they were scheduled. `cursor` is null on the last page. */
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

/** A page of results. `cursor` is null on the last page; other pages may contain fewer results than `limit`, or */
export interface SearchResults {
  t: "search.results";
  items: Array<SearchHit>;
  cursor: string | null;
}

/** Find users by the beginning of their handle or, with `people.search = "names"`, of a word of their name. */
export interface SearchUsers {
  t: "user.search";
  query: string;
  cursor?: string | null;
  limit?: number;
}

/** Send a message. It needs a text or an attachment. */
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
  thread?: string | null;
  actions?: Array<Array<Button>>;
}

/** Add a bot, as admin.bot.add does. */
export interface ServerAddBot {
  t: "server.bot.add";
  handle: string;
  name?: string | null;
  description?: string;
  picture_url?: string | null;
  reads?: "all" | "commands";
  webhook?: string | null;
  lasts?: number | null;
}

/** Add users to a group. Users who are members already are not changed. */
export interface ServerAddMembers {
  t: "server.member.add";
  conversation: string;
  users: Array<string>;
}

/** Ban a user. Without `lasts` the ban is permanent. `devices`: also ban the devices on which the user has signed */
export interface ServerBanUser {
  t: "server.ban";
  user: string;
  reason: string;
  devices?: boolean;
  lasts?: number | null;
}

/** A conversation without the fields of one member. `created`: the command has created it. */
export interface ServerConversation {
  t: "server.conversation";
  conversation: Conversation;
  external_id: string | null;
  created: boolean;
}

/** Create a group. Without `owner` no member owns it, and only your backend changes its members. */
export interface ServerCreateGroup {
  t: "server.conversation.create";
  members: Array<string>;
  title?: string | null;
  owner?: string | null;
  external_id?: string | null;
  joining?: "closed" | "invite" | "open" | "request";
}

/** Deactivate a user: all logins end, connections are closed with 4404, and the user cannot sign in until */
export interface ServerDeactivateUser {
  t: "server.user.deactivate";
  user: string;
}

/** Delete a message of any sender for all members. A tombstone stays; deleting it again changes nothing. */
export interface ServerDeleteMessage {
  t: "server.message.delete";
  conversation: string;
  message: string;
}

/** Dissolve a group. All memberships end, and no user has access to it any more. */
export interface ServerDissolveConversation {
  t: "server.conversation.dissolve";
  conversation: string;
}

/** Change the given fields of a conversation. An empty text clears the field. */
export interface ServerEditConversation {
  t: "server.conversation.edit";
  conversation: string;
  title?: string | null;
  description?: string | null;
  announce?: boolean | null;
  disappear?: number | null;
  joining?: "closed" | "invite" | "open" | "request" | null;
  history?: "all" | "joined" | null;
  keep_days?: number | null;
  slow_seconds?: number | null;
}

/** Change the text of a message, or the buttons of a message of a bot, at any time. Omitted fields stay unchanged; */
export interface ServerEditMessage {
  t: "server.message.edit";
  conversation: string;
  message: string;
  text?: string | null;
  actions?: Array<Array<Button>> | null;
}

/** Erase a user permanently, with all messages, uploads and settings. It cannot be undone; the id, and so the */
export interface ServerEraseUser {
  t: "server.user.erase";
  user: string;
}

/** Look up users by id and by external id, up to 200 together. Unknown and erased users are left out. */
export interface ServerFindUsers {
  t: "server.users.find";
  users?: Array<string>;
  external_ids?: Array<string>;
}

/** Get one conversation. */
export interface ServerGetConversation {
  t: "server.conversation.get";
  conversation: string;
}

/** Get a user. */
export interface ServerGetUser {
  t: "server.user.get";
  user: string;
}

/** Sign a user in, and get the tokens for the user's device. The refresh token renews them, as after a sign-up. */
export interface ServerIssueToken {
  t: "server.user.token";
  user: string;
}

/** Revoke a ban, as admin.ban.lift does. */
export interface ServerLiftBan {
  t: "server.ban.lift";
  ban: string;
}

/** List all conversations of the tenant, ordered by id. */
export interface ServerListAllConversations {
  t: "server.conversations.list";
  created_since?: number | null;
  created_until?: number | null;
  active_since?: number | null;
  has_external_id?: boolean | null;
  cursor?: string | null;
  limit?: number;
}

/** List bans, newest first. `every`: also expired and revoked bans. `cursor`: from the page before. */
export interface ServerListBans {
  t: "server.bans";
  every?: boolean;
  cursor?: string | null;
  limit?: number;
}

/** List the bots, with the state of their tokens and webhooks. */
export interface ServerListBots {
  t: "server.bots";
}

/** List the conversations of a user as the user sees them, the most recently active first. */
export interface ServerListConversations {
  t: "server.conversation.list";
  user: string;
  cursor?: string | null;
  limit?: number;
}

/** List the members of a conversation, ordered by id. `cursor`: from the page before. */
export interface ServerListMembers {
  t: "server.member.list";
  conversation: string;
  cursor?: string | null;
  limit?: number;
}

/** List all users of the tenant that are not erased, in the order of their last change. */
export interface ServerListUsers {
  t: "server.users.list";
  created_since?: number | null;
  created_until?: number | null;
  updated_since?: number | null;
  has_external_id?: boolean | null;
  cursor?: string | null;
  limit?: number;
}

/** End all logins of a user, and close their connections with 4404. The user may sign in again. */
export interface ServerLogOutUser {
  t: "server.user.logout";
  user: string;
}

/** Get a page of messages: the latest, those before the seq `before`, or those after the seq `after`. The order is */
export interface ServerMessageHistory {
  t: "server.message.history";
  conversation: string;
  before?: number | null;
  after?: number | null;
  limit?: number;
}

/** Open the direct conversation of `user` with `other`, as if `user` had done it. Two users have only one; */
export interface ServerOpenDirect {
  t: "server.conversation.direct";
  user: string;
  other: string;
  external_id?: string | null;
}

/** Post a message: as the system, or for the user `sender`, who is a member. */
export interface ServerPostMessage {
  t: "server.message.send";
  conversation: string;
  client_id: string;
  sender?: string | null;
  text?: string | null;
  attachments?: Array<AttachmentInput>;
  reply_to?: string | null;
  meta?: Record<string, unknown> | null;
  mentions?: Array<string>;
  everybody?: boolean;
  thread?: string | null;
  actions?: Array<Array<Button>>;
}

/** Create a user, or update the one with this `external_id` or this id (`user`). */
export interface ServerPutUser {
  t: "server.user.put";
  external_id?: string | null;
  user?: string | null;
  name?: string | null;
  picture_url?: string | null;
  locale?: string | null;
  roles?: Array<string> | null;
}

/** Create or update up to 1,000 users, each as `server.user.put` does. */
export interface ServerPutUsers {
  t: "server.users.put";
  users: Array<UserInput>;
}

/** Let a deactivated user sign in again. */
export interface ServerReactivateUser {
  t: "server.user.reactivate";
  user: string;
}

/** Remove a bot: its sessions end at once on all nodes, and it is erased as a user is. It cannot be undone. */
export interface ServerRemoveBot {
  t: "server.bot.remove";
  bot: string;
}

/** Remove a member from a group. If they own it, the member with the highest role, and among equals the longest */
export interface ServerRemoveMember {
  t: "server.member.remove";
  conversation: string;
  user: string;
}

/** Revoke the token of a bot. Its sessions end at once on all nodes. */
export interface ServerRevokeBotToken {
  t: "server.bot.revoke";
  bot: string;
}

/** Give a bot a new token, as admin.bot.token does. */
export interface ServerRotateBotToken {
  t: "server.bot.token";
  bot: string;
  overlap?: number;
  lasts?: number | null;
}

/** Change the role of a member of a group. With `owner` the present owner becomes an admin. */
export interface ServerSetRole {
  t: "server.member.role";
  conversation: string;
  user: string;
  role: "admin" | "member" | "moderator" | "owner";
}

/** Give a user a strike. From a configured number of strikes on, each strike bans the user. */
export interface ServerStrikeUser {
  t: "server.strike";
  user: string;
  reason: string;
}

/** Change a bot, as admin.bot.update does. */
export interface ServerUpdateBot {
  t: "server.bot.update";
  bot: string;
  handle?: string | null;
  name?: string | null;
  description?: string | null;
  picture_url?: string | null;
  reads?: "all" | "commands" | null;
  webhook?: string | null;
}

/** A user. `external_id` is null if your backend names the user by `id`. `bot`: a program. `deactivated_at`: the */
export interface ServerUser {
  id: string;
  external_id: string | null;
  name: string | null;
  picture_url: string | null;
  locale: string | null;
  roles: Array<string>;
  anonymous: boolean;
  bot: boolean;
  created_at: number;
  deactivated_at: number | null;
}

/** The user as it is now. `created`: the command has created it. */
export interface ServerUserResult {
  t: "server.user";
  user: ServerUser;
  created: boolean;
}

/** A service token. `last_used_at` is exact to a minute. `previous_until`: the end of the secret before a rotation. */
export interface ServiceToken {
  id: string;
  name: string;
  scopes: Array<string>;
  created_at: number;
  actor: string;
  expires_at: number | null;
  revoked_at: number | null;
  last_used_at: number | null;
  previous_until: number | null;
}

/** All service tokens of the tenant. */
export interface ServiceTokenList {
  t: "admin.token.list";
  items: Array<ServiceToken>;
}

/** Profile, settings, stars, drafts or blocks of the user may have changed on another device, or profiles of */
export interface SessionBehind {
  t: "session.behind";
}

/** States of conversations. Keep `cursor` for the next call. */
export interface SessionState {
  t: "session.state";
  conversations: Array<Counters>;
  gone: Array<string>;
  marks: Array<Mark>;
  own: boolean;
  reset: boolean;
  cursor: string;
  more: boolean;
  threads?: Array<ThreadMark>;
}

/** Declare the commands of this bot, in place of all that it has declared before. Only for bots. */
export interface SetCommands {
  t: "bot.commands.set";
  commands: Array<Declared>;
}

/** Change the given settings of a conversation for the requester. */
export interface SetConversation {
  t: "conversation.settings";
  conversation: string;
  muted_until?: number | null;
  archived?: boolean | null;
  pinned?: boolean | null;
  hidden?: boolean | null;
  draft?: string | null;
  notify?: "all" | "mentions" | "none" | "" | null;
  labels?: Array<string> | null;
  draft_parts?: DraftParts | null;
}

/** Turn maintenance mode on or off on all nodes. It notifies all clients and pauses matching. `lasts`: expected */
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

/** Change the role of a member. Both the present and the new role must be below the role of the requester. */
export interface SetRole {
  t: "member.role";
  conversation: string;
  user: string;
  role: "admin" | "member" | "moderator";
}

/** Update the settings of the requester for all conversations. Omitted fields stay unchanged; with no fields the */
export interface SetUser {
  t: "user.settings";
  notify?: "all" | "mentions" | "none" | null;
  quiet?: Quiet | null;
  loud?: boolean;
  show_presence?: "contacts" | "everybody" | "nobody" | null;
  allow_messages?: "contacts" | "everybody" | "nobody" | null;
  allow_groups?: "contacts" | "everybody" | "nobody" | null;
  allow_calls?: "contacts" | "everybody" | "nobody" | null;
}

/** A setting. `source`: a file and its line, a variable, or `default`. */
export interface Setting {
  key: string;
  value: string;
  source: string;
}

/** The settings of one member for a conversation. Only the devices of the member get them. */
export interface Settings {
  muted_until: number | null;
  archived: boolean;
  pinned_at: number | null;
  hidden: boolean;
  draft: string | null;
  draft_at: number | null;
  notify: "all" | "mentions" | "none" | null;
  labels?: Array<string>;
  draft_parts?: DraftParts;
}

/** Shadow-ban a user, or end it. */
export interface ShadowUser {
  t: "admin.shadow";
  user: string;
  on?: boolean;
  tenant?: string;
}

/** Get the figures of the last days, up to today, and the retention of the cohorts of the last weeks. See */
export interface ShowAnalytics {
  t: "admin.analytics";
  days?: number;
  weeks?: number;
  tenant?: string;
}

/** Show a conversation and its members, without its messages. */
export interface ShowConversation {
  t: "admin.conversation";
  conversation: string;
  tenant?: string;
}

/** Preview the group behind an invite link. */
export interface ShowInvite {
  t: "invite.show";
  secret: string;
}

/** Show the settings of the node that answers, with the source of each. Secrets are masked. */
export interface ShowNodeSettings {
  t: "admin.settings";
  tenant?: string;
}

/** Show a report with its messages. The access is recorded in the audit log. */
export interface ShowReport {
  t: "admin.report";
  report: string;
  tenant?: string;
}

/** Get the settings that `user.settings` changes. */
export interface ShowSettings {
  t: "user.settings.get";
}

/** Show a user. */
export interface ShowUser {
  t: "admin.user";
  user: string;
  tenant?: string;
}

/** All settings. `node`: the name of the node. */
export interface ShownSettings {
  t: "admin.setting.list";
  node: string;
  items: Array<Setting>;
}

/** Sign up anonymously. `device`: a random secret that the client stores; signing up with it again returns the same */
export interface SignUp {
  t: "auth.anonymous";
  tenant?: string;
  name?: string | null;
  device?: string | null;
  login_name?: string | null;
  platform?: string | null;
}

/** URLs of one upload that need no token. `thumbnail` is null if there is none. */
export interface SignedUrl {
  upload: string;
  url: string;
  thumbnail: string | null;
}

/** URLs that are valid until `expires_at`, in the order of the uploads that you named. */
export interface SignedUrls {
  t: "signed_urls";
  items: Array<SignedUrl>;
  expires_at: number;
}

/** End your match and search for the next one with the same criteria. `ticket` as in `match.leave`. */
export interface SkipMatch {
  t: "match.skip";
  ticket?: string | null;
}

/** Star a message, for the requester only. */
export interface StarMessage {
  t: "message.star";
  conversation: string;
  message: string;
}

/** A starred message and its conversation. */
export interface Starred {
  conversation: string;
  message: Message;
}

/** A page of starred messages. `cursor` is null on the last page. */
export interface StarredMessages {
  t: "message.starred";
  items: Array<Starred>;
  cursor: string | null;
}

/** A strike. After `expires_at` it does not count. */
export interface Strike {
  id: string;
  reason: string;
  actor: string;
  created_at: number;
  expires_at: number | null;
}

/** Give a user a strike. From a configured number of strikes on, each strike bans the user. */
export interface StrikeUser {
  t: "admin.strike";
  user: string;
  reason: string;
  tenant?: string;
}

/** The strike was added. `count`: strikes in force. `ban`: the ban that followed, if any; `until` is null if it is */
export interface Struck {
  t: "admin.struck";
  strike: string;
  count: number;
  ban: string | null;
  until: number | null;
}

/** Get what changed in a conversation after `rev`. While `more` is true, call again with the new rev. */
export interface SyncConversation {
  t: "conversation.sync";
  conversation: string;
  rev: number;
  limit?: number;
}

/** Get the conversations that changed since `cursor`; without a cursor, all of them. */
export interface SyncSession {
  t: "session.sync";
  cursor?: string | null;
  limit?: number;
}

/** The content of a message with `system`; its `sender` has done it. */
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

/** Acknowledge actions: the bot has handled them, and does not get them again. bot.notify does it, too. */
export interface TakeActions {
  t: "bot.ack";
  actions: Array<string>;
}

/** Send an event of the type `webhook.test`. Its result is in `admin.webhook.deliveries`. */
export interface TestWebhook {
  t: "admin.webhook.test";
  endpoint: string;
  tenant?: string;
}

/** A thread as the requester sees it. `thread` is its root. */
export interface Thread {
  conversation: string;
  thread: Message;
  following: boolean;
  read_seq: number;
  unread: number;
}

/** Get a page of the replies in a thread: the latest, those before the seq `before`, or those after the seq `after`. */
export interface ThreadHistory {
  t: "thread.history";
  conversation: string;
  thread: string;
  before?: number | null;
  after?: number | null;
  limit?: number;
}

/** Whether the requester follows a thread, and the reply up to which they have read it. `thread` is its root. */
export interface ThreadMark {
  conversation: string;
  thread: string;
  following: boolean;
  read_seq: number;
}

/** A thread as it is now. */
export interface ThreadResult {
  t: "thread";
  thread: Thread;
}

/** A thread has new replies, or some were deleted. `thread` is its root, of which `rev` and `replies` are the new */
export interface ThreadUpdate {
  t: "thread.update";
  conversation: string;
  rev: number;
  thread: string;
  replies: Replies | null;
}

/** A page of threads. `cursor` is null on the last page. */
export interface Threads {
  t: "threads";
  items: Array<Thread>;
  cursor: string | null;
}

/** Connect once with `?ticket=` within `expires_in` seconds. */
export interface Ticket {
  t: "auth.ticket";
  ticket: string;
  expires_in: number;
}

/** The token. `secret` is shown this once. */
export interface TokenAdded {
  t: "admin.token.added";
  token: string;
  secret: string;
}

/** The access token expires within a minute. Send `auth.refresh` with a new one, or the connection is closed with */
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

/** Transfer a group to another member. The requester becomes an admin. */
export interface TransferConversation {
  t: "conversation.transfer";
  conversation: string;
  user: string;
}

/** Show the other members that the requester is typing. Repeat it every 3 to 5 seconds. */
export interface TypingStart {
  t: "typing.start";
  conversation: string;
}

/** A member is typing. It ends after `expires_in` seconds, and when a message of theirs arrives. */
export interface TypingStarted {
  t: "typing.start";
  conversation: string;
  user: string;
  expires_in: number;
}

/** Show the other members that the requester has stopped typing. Sending a message does so, too. */
export interface TypingStop {
  t: "typing.stop";
  conversation: string;
}

/** A member has stopped typing, or the connection that they typed on has ended. */
export interface TypingStopped {
  t: "typing.stop";
  conversation: string;
  user: string;
  expires_in: number;
}

/** Remove a block, by the id by which it was made. Other blocks of the same user stay. */
export interface UnblockUser {
  t: "user.unblock";
  user: string;
}

/** Unfollow a thread. Mentions do not make the requester follow it again; a reply of their own does. */
export interface UnfollowThread {
  t: "thread.unfollow";
  conversation: string;
  thread: string;
}

/** Unpin a message. */
export interface UnpinMessage {
  t: "message.unpin";
  conversation: string;
  message: string;
}

/** Unread messages of others in conversations that are neither muted nor archived, the number of these */
export interface Unread {
  unread: number;
  conversations: number;
  mentions: number;
}

/** The counts. A conversation counts for at most 1000 messages, and only the 200 most recently active unread */
export interface UnreadTotal {
  t: "unread.total";
  total: Unread;
}

/** Remove the star of a message. */
export interface UnstarMessage {
  t: "message.unstar";
  conversation: string;
  message: string;
}

/** Change a bot. Fields that are left out stay as they are; an empty `picture_url` or `webhook` is removed. */
export interface UpdateBot {
  t: "admin.bot.update";
  bot: string;
  handle?: string | null;
  name?: string | null;
  description?: string | null;
  picture_url?: string | null;
  reads?: "all" | "commands" | null;
  webhook?: string | null;
  tenant?: string;
}

/** Change the given fields of your profile; an empty text removes a value. `people.editable` may exclude fields. */
export interface UpdateUser {
  t: "user.update";
  name?: string | null;
  handle?: string | null;
  avatar?: string | null;
  status_text?: string | null;
  profile?: Record<string, unknown> | null;
  locale?: string | null;
  time_zone?: string | null;
}

/** A stored file. Its owner and the members of conversations that use it can download it from `url`. */
export interface Upload {
  t: "upload";
  id: string;
  url: string;
  key: string;
  mime: string;
  size: number;
  name: string | null;
  width: number | null;
  height: number | null;
  duration: number | null;
  thumbnail: string | null;
  placeholder: string | null;
  waveform: Array<number> | null;
  created_at: number;
}

/** Delete one of your files, in all conversations that use it. */
export interface UploadDelete {
  t: "upload.delete";
  upload: string;
}

/** Get the description of an upload that you can download. */
export interface UploadInfo {
  t: "upload.info";
  upload: string;
}

/** Get URLs that a browser can open without a token, such as in an `<img>`, for uploads that you can download. */
export interface UploadSign {
  t: "upload.sign";
  uploads: Array<string>;
}

/** A user. `profile_version` grows with each change: keep the profile with the highest one. */
export interface User {
  id: string;
  name: string | null;
  handle: string | null;
  avatar: string | null;
  picture_url: string | null;
  profile_version: number;
  status_text?: string | null;
  profile?: Record<string, unknown>;
  deleted?: boolean;
  bot?: boolean;
  locale?: string | null;
  time_zone?: string | null;
  external_id?: string | null;
  roles?: Array<string>;
}

/** What is known of a user besides the counts of `admin.user`. */
export interface UserDetails {
  t: "admin.user.detailed";
  handle: string | null;
  status_text: string | null;
  external_id: string | null;
  avatar: string | null;
  picture_url: string | null;
  locale: string | null;
  time_zone: string | null;
  roles: Array<string>;
  deactivated_at: number | null;
  erased_at: number | null;
  logins: Array<UserLogin>;
  strikes: Array<Strike>;
  bans: Array<Ban>;
}

/** A user to create or to update, by `external_id` or by `user`. An absent field stays as it is; an empty one is */
export interface UserInput {
  external_id?: string | null;
  user?: string | null;
  name?: string | null;
  picture_url?: string | null;
  locale?: string | null;
  roles?: Array<string> | null;
}

/** A user in a list. `shadow`: shadow-banned. */
export interface UserLine {
  user: string;
  name: string | null;
  handle: string | null;
  anonymous: boolean;
  shadow: boolean;
  created_at: number;
  deactivated_at: number | null;
  erased_at: number | null;
}

/** Users. `more`: there are further ones. */
export interface UserLines {
  t: "admin.user.list";
  items: Array<UserLine>;
  more: boolean;
}

/** Users, in the order of their ids. */
export interface UserList {
  t: "server.users";
  items: Array<ServerUser>;
}

/** A login. `address`: a network, an IPv4 /24 or an IPv6 /48. `is_external`: a session at an identity provider. */
export interface UserLogin {
  id: string;
  name: string | null;
  platform: string | null;
  created_at: number;
  last_seen: number;
  address: string | null;
  ended_at: number | null;
  is_external: boolean;
}

/** The logins of the user that have not ended. */
export interface UserLogins {
  t: "admin.user.login.list";
  items: Array<Login>;
}

/** A page of users. `cursor` is null on the last page. */
export interface UserPage {
  t: "server.user.page";
  items: Array<ListedUser>;
  cursor: string | null;
}

/** A user. */
export interface UserResult {
  t: "user";
  user: User;
}

/** The settings of the requester for notifications, presence and consent. Contacts are the users the requester has */
export interface UserSettings {
  t: "user.settings";
  notify: "all" | "mentions" | "none";
  quiet: Quiet | null;
  show_presence: "contacts" | "everybody" | "nobody";
  allow_messages: "contacts" | "everybody" | "nobody";
  allow_groups: "contacts" | "everybody" | "nobody";
  allow_calls: "contacts" | "everybody" | "nobody";
}

/** The profile of a user has changed: your own, on another device, or that of a member of your conversations. */
export interface UserUpdated {
  t: "user.updated";
  user: User;
}

/** Users, in the order of the request. `unknown`: ids that belong to no user. */
export interface Users {
  t: "users";
  items: Array<User>;
  unknown: Array<string>;
  cursor: string;
}

/** A video. `width` and `height` in pixels, and `duration`, if they are known. */
export interface VideoAttachment {
  type: "video";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
  width?: number;
  height?: number;
  duration?: number;
}

/** A voice message. `duration` and `waveform`, if they are known; the waveform may be one that the sender gave. */
export interface VoiceAttachment {
  type: "voice";
  upload: string;
  url: string;
  mime: string;
  size: number;
  name: string | null;
  duration?: number;
  waveform?: Array<number>;
}

/** Vote in a poll. The options replace those of the earlier vote of the requester; without any, that is removed. */
export interface Vote {
  t: "poll.vote";
  conversation: string;
  message: string;
  options: Array<number>;
}

/** A user who has voted. */
export interface Voter {
  user: string;
  name: string | null;
}

/** Users who have chosen an option, ordered by id. `cursor` is null on the last page. */
export interface Voters {
  t: "poll.voters";
  items: Array<Voter>;
  cursor: string | null;
}

/** Subscribe this session to the presence of these users only. */
export interface WatchPresence {
  t: "presence.watch";
  users: Array<string>;
}

/** A page of events. `more`: there are older ones. */
export interface WebhookDeliveries {
  t: "admin.webhook.delivery.list";
  items: Array<WebhookDelivery>;
  more: boolean;
}

/** An event of an endpoint. `event`: its `webhook-id`. `key`: the conversation, user or report in whose order it is */
export interface WebhookDelivery {
  id: string;
  event: string;
  type: string;
  key: string;
  state: "delivered" | "dropped" | "parked" | "pending";
  attempts: number;
  error: string | null;
  at: number;
  attempted_at: number | null;
  settled_at: number | null;
}

/** A webhook endpoint. `disabled_at`: since when it gets no events, with the reason. `failing_since`: the first */
export interface WebhookEndpoint {
  id: string;
  bot: string | null;
  url: string;
  types: Array<string>;
  note: string;
  created_at: number;
  disabled_at: number | null;
  disabled_reason: string | null;
  failing_since: number | null;
  last_error: string | null;
  previous_until: number | null;
  pending: number;
  parked: number;
  oldest_pending_at: number | null;
}

/** All webhook endpoints of a tenant. */
export interface WebhookEndpoints {
  t: "admin.webhook.list";
  items: Array<WebhookEndpoint>;
}

/** The number of events that are sent again. `after`: null after the last event. */
export interface WebhookReplayed {
  t: "admin.webhook.replayed";
  events: number;
  after: string | null;
}

/** The secret that signs events to an endpoint. It is shown once. */
export interface WebhookSecret {
  t: "admin.webhook.secret";
  id: string;
  secret: string;
}

/** The test is queued. `event`: its `webhook-id`. */
export interface WebhookTested {
  t: "admin.webhook.tested";
  event: string;
}

/** Withdraw a request to `user` to accept a direct conversation of the requester, or to join a group. That it was */
export interface WithdrawRequest {
  t: "request.withdraw";
  conversation: string;
  user: string;
}

/** The result of each command that is not refused. */
export interface ResultOf {
  "auth.logout": Ok;
  "auth.refresh": AuthRefreshed;
  "auth.ticket": Ticket;
  "block.list": Blocks;
  "bot.ack": Ok;
  "bot.actions": PendingActions;
  "bot.commands": CommandList;
  "bot.commands.get": DeclaredCommands;
  "bot.commands.set": DeclaredCommands;
  "bot.notify": Ok;
  "contact.add": Ok;
  "contact.list": Contacts;
  "contact.remove": Ok;
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
  "label.list": Labels;
  "label.rename": Labels;
  "login.end": Ok;
  "login.end_others": EndedLogins;
  "login.list": Logins;
  "login.rename": LoginState;
  "match.cancel": Ok;
  "match.confirm": Ok;
  "match.find": MatchQueued;
  "match.keep": Ok;
  "match.leave": Ok;
  "match.skip": Ok;
  "match.status": MatchQueued;
  "me.erase": Erased;
  "me.get": UserResult;
  "member.add": Members;
  "member.list": Members;
  "member.remove": Ok;
  "member.role": MemberResult;
  "message.action": ActionAck;
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
  "poll.close": MessageResult;
  "poll.create": PollAck;
  "poll.vote": MessageResult;
  "poll.voters": Voters;
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
  "request.accept": RequestAccepted;
  "request.block": Ok;
  "request.decline": Ok;
  "request.invited": InvitedUsers;
  "request.list": ContactRequests;
  "request.withdraw": Ok;
  "schedule.cancel": Ok;
  "schedule.edit": ScheduleResult;
  "schedule.list": ScheduledMessages;
  "session.sync": SessionState;
  "thread.follow": ThreadResult;
  "thread.history": Messages;
  "thread.list": Threads;
  "thread.read": ThreadResult;
  "thread.unfollow": ThreadResult;
  "typing.start": Ok;
  "typing.stop": Ok;
  "unread.total": UnreadTotal;
  "upload.delete": Ok;
  "upload.info": Upload;
  "upload.sign": SignedUrls;
  "user.block": Ok;
  "user.get": UserResult;
  "user.query": Users;
  "user.search": FoundUsers;
  "user.settings": UserSettings;
  "user.settings.get": UserSettings;
  "user.unblock": Ok;
  "user.update": UserResult;
}

export type Command = Logout | RefreshAuth | MakeTicket | ListBlocks | TakeActions | ListActions | OfferedCommands | GetDeclared | SetCommands | Notify | AddContact | ListContacts | RemoveContact | CreateConversation | DissolveConversation | EditConversation | GetConversation | JoinConversation | LeaveConversation | ListConversations | OpenConversation | SetConversation | SyncConversation | TransferConversation | CreateInvite | ListInvites | RevokeInvite | ShowInvite | DecideRequest | ListRequests | ListLabels | RenameLabel | EndLogin | EndOtherLogins | ListLogins | RenameLogin | CancelMatch | ConfirmMatch | FindMatch | KeepMatch | LeaveMatch | SkipMatch | MatchStatus | EraseMe | GetOwnUser | AddMembers | ListMembers | RemoveMember | SetRole | PressButton | DeleteMessage | EditMessage | MessageEdits | ForwardMessage | MessageHistory | PinMessage | ListPins | AskReceipts | ScheduleMessage | SearchMessages | SendMessage | StarMessage | ListStarred | UnpinMessage | UnstarMessage | Ping | ClosePoll | CreatePoll | Vote | ListVoters | CountPresence | QueryPresence | SetPresence | WatchPresence | AddReaction | ListReactions | RemoveReaction | ReceiptDelivered | ReceiptRead | CreateReport | AcceptRequest | BlockSender | DeclineRequest | ListInvited | ListContactRequests | WithdrawRequest | CancelScheduled | EditScheduled | ListScheduled | SyncSession | FollowThread | ThreadHistory | ListThreads | ReadThread | UnfollowThread | TypingStart | TypingStop | AskUnread | UploadDelete | UploadInfo | UploadSign | BlockUser | GetUser | QueryUsers | SearchUsers | SetUser | ShowSettings | UnblockUser | UpdateUser;
export type UnansweredCommand = CountPresence | QueryPresence | SetPresence | WatchPresence | ReceiptDelivered | ReceiptRead | TypingStart | TypingStop;
export type Answer = Ok | AuthRefreshed | Ticket | Blocks | PendingActions | CommandList | DeclaredCommands | Contacts | ConversationResult | ConversationInfo | Joined | Conversations | OwnConversation | Changes | InviteCreated | Invites | Preview | Requests | Labels | EndedLogins | Logins | LoginState | MatchQueued | Erased | UserResult | Members | MemberResult | ActionAck | MessageResult | Edits | Forwarded | Messages | Pins | Receipts | Scheduled | SearchResults | MessageAck | StarredMessages | Pong | PollAck | Voters | PresenceCount | PresenceStates | Reactions | ReportMade | RequestAccepted | InvitedUsers | ContactRequests | ScheduleResult | ScheduledMessages | SessionState | ThreadResult | Threads | UnreadTotal | Upload | SignedUrls | Users | FoundUsers | UserSettings | Error;
export type ServerEvent = Action | ActionAnswer | Behind | BotCommand | Closed | Connected | ConversationGone | ConversationUpdate | CommandRefused | JoinDeclined | JoinRequested | LoginAdded | LoginEnded | LoginUpdated | MaintenanceMode | MatchEnded | MatchExpired | MatchFound | MatchKept | MatchProposed | MatchRequeued | MemberLeft | MemberUpdate | MessageDelivered | MessageNew | MessageRead | MessageUpdate | PollVoted | PresenceUpdate | RequestNew | ScheduleFailed | SessionBehind | ThreadUpdate | TokenExpiring | TypingStarted | TypingStopped | UserUpdated;
export type RefusalCode = "bad_request" | "unknown_command" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "rate_limited" | "too_large" | "unavailable" | "timeout" | "maintenance" | "banned" | "blocked" | "internal";
export type CloseCode = 1001 | 1009 | 4000 | 4001 | 4002 | 4029 | 4400 | 4403 | 4404;
export type ClientFrame = [number, Command];
export type ServerFrame = [number, Answer] | [0, ServerEvent];
/** A button of a message of `bot` that `user` has pressed. `data` is that of the button. */
export interface ActionData {
  action: string;
  conversation: string;
  message: string;
  bot: string;
  user: string;
  data: string;
  created_at: number;
}

/** A ban of a user. `expires_at`: null for a permanent one. */
export interface BanData {
  ban: string;
  user: string;
  reason: string;
  actor: string;
  created_at: number;
  expires_at: number | null;
  lifted_at: number | null;
}

/** A command for the bot. `args`: its arguments by name, as the bot has declared them; `text`: the whole message. */
export interface BotCommandData {
  conversation: string;
  message: string;
  seq: number;
  sender: string;
  name: string;
  args: Record<string, unknown>;
  text: string;
  created_at: number;
}

/** A conversation. `requested`: the user who has not accepted this direct conversation yet. */
export interface ConversationData {
  conversation: string;
  kind: "direct" | "group" | "match";
  title: string | null;
  description: string | null;
  picture: string | null;
  creator: string | null;
  member_count: number;
  announce: boolean;
  joining: "closed" | "invite" | "open" | "request";
  history: "all" | "joined";
  disappear: number;
  slow_seconds: number;
  created_at: number;
  requested: string | null;
}

/** A user whose data was erased, or an anonymous account that was never used again. */
export interface ErasedUserData {
  user: string;
}

/** A match of strangers. `reason`: why it ended, such as `kept`. */
export interface MatchData {
  match: string;
  conversation: string;
  queue: string;
  users: Array<string>;
  created_at: number;
  ended_at: number | null;
  reason: string | null;
}

/** A membership. `role`: null for a user who is not a member any more. `actor`: the user who has removed them, or */
export interface MemberData {
  conversation: string;
  user: string;
  role: "admin" | "member" | "moderator" | "owner" | null;
  actor: string | null;
}

/** A message. If it is deleted or has expired, `deleted_at` is set and the content is null. */
export interface MessageData {
  conversation: string;
  message: string;
  seq: number;
  rev: number;
  sender: string;
  client_id: string;
  text: string | null;
  attachments: Array<Record<string, unknown>>;
  reply_to: string | null;
  meta: Record<string, unknown> | null;
  system: Record<string, unknown> | null;
  mentions: Array<string>;
  mentions_everybody: boolean;
  forwarded: Record<string, unknown> | null;
  thread: string | null;
  poll: Record<string, unknown> | null;
  actions: Array<Array<Record<string, unknown>>>;
  created_at: number;
  edited_at: number | null;
  deleted_at: number | null;
  expires_at: number | null;
}

/** A poll. `poll`: the options with their counts, and when it ended. */
export interface PollData {
  conversation: string;
  message: string;
  seq: number;
  poll: Record<string, unknown>;
}

/** The reactions of a user to a message. `emoji`: all that the user has now, the earliest first; empty if none is */
export interface ReactionData {
  conversation: string;
  message: string;
  seq: number;
  user: string;
  emoji: Array<string>;
  reactions: Record<string, unknown>;
}

/** The receipts of a member: all messages up to these numbers are delivered, and read. */
export interface ReceiptData {
  conversation: string;
  user: string;
  delivered: number;
  read: number;
}

/** A report of `reporter` about `user`. The evidence is read with `admin.report`. */
export interface ReportData {
  report: string;
  reporter: string;
  user: string;
  conversation: string;
  message: string | null;
  reason: string;
  text: string | null;
  state: "open" | "resolved";
  outcome: "dismissed" | "upheld" | null;
  resolved_by: string | null;
  created_at: number;
  resolved_at: number | null;
}

/** A user. `external_id`: the id in the tokens of your backend, if that is not `user`. `avatar`: an upload; */
export interface UserData {
  user: string;
  external_id: string | null;
  name: string | null;
  handle: string | null;
  avatar: string | null;
  picture_url: string | null;
  status_text: string | null;
  locale: string | null;
  time_zone: string | null;
  profile: Record<string, unknown> | null;
  roles: Array<string>;
  anonymous: boolean;
  bot: boolean;
  created_at: number;
  deactivated_at: number | null;
}

/** A vote in a poll. `options`: the indexes that the user has chosen, from 0; empty if the vote was taken back. */
export interface VoteData {
  conversation: string;
  message: string;
  seq: number;
  user: string | null;
  options: Array<number> | null;
  poll: Record<string, unknown>;
}

/** The body of a webhook. */
export type WebhookEvent =
  | { type: "message.created"; timestamp: string; tenant: string; data: MessageData }
  | { type: "message.edited"; timestamp: string; tenant: string; data: MessageData }
  | { type: "message.deleted"; timestamp: string; tenant: string; data: MessageData }
  | { type: "reaction.added"; timestamp: string; tenant: string; data: ReactionData }
  | { type: "reaction.removed"; timestamp: string; tenant: string; data: ReactionData }
  | { type: "receipt.updated"; timestamp: string; tenant: string; data: ReceiptData }
  | { type: "poll.voted"; timestamp: string; tenant: string; data: VoteData }
  | { type: "poll.closed"; timestamp: string; tenant: string; data: PollData }
  | { type: "conversation.created"; timestamp: string; tenant: string; data: ConversationData }
  | { type: "conversation.updated"; timestamp: string; tenant: string; data: ConversationData }
  | { type: "member.added"; timestamp: string; tenant: string; data: MemberData }
  | { type: "member.updated"; timestamp: string; tenant: string; data: MemberData }
  | { type: "member.removed"; timestamp: string; tenant: string; data: MemberData }
  | { type: "user.created"; timestamp: string; tenant: string; data: UserData }
  | { type: "user.updated"; timestamp: string; tenant: string; data: UserData }
  | { type: "user.erased"; timestamp: string; tenant: string; data: ErasedUserData }
  | { type: "user.banned"; timestamp: string; tenant: string; data: BanData }
  | { type: "user.unbanned"; timestamp: string; tenant: string; data: BanData }
  | { type: "report.created"; timestamp: string; tenant: string; data: ReportData }
  | { type: "report.resolved"; timestamp: string; tenant: string; data: ReportData }
  | { type: "match.created"; timestamp: string; tenant: string; data: MatchData }
  | { type: "match.ended"; timestamp: string; tenant: string; data: MatchData }
  | { type: "action.created"; timestamp: string; tenant: string; data: ActionData }
  | { type: "bot.command"; timestamp: string; tenant: string; data: BotCommandData }
  | { type: "bot.added"; timestamp: string; tenant: string; data: MemberData }
  | { type: "bot.removed"; timestamp: string; tenant: string; data: MemberData };
