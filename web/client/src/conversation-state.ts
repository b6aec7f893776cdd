// What the client knows of one conversation. Messages are one range without gaps, from `from` to the latest.
import type { OutboxEntry } from "./outbox.js";
import { Cell } from "./readable.js";
import type { ChatMessage, ConversationSnapshot, ConversationView, MessageState } from "./views.js";
import type { Body, Conversation, Mark, Member, Message, MessageAck, RefusalCode, User } from "./wire.js";

/** Messages that are kept of a conversation that nobody looks at. */
const KEPT = 50;

export interface Surroundings {
  /** The id of this user in the conversation. */
  isOwn(conversation: string, user: string): boolean;
  me(conversation: string): string;
  waiting(conversation: string): OutboxEntry[];
  now(): number;
  /** The list shows something of this conversation. */
  listed(state: ConversationState): void;
  watched(state: ConversationState, on: boolean): void;
}

export class ConversationState {
  info: Partial<Conversation> = {};
  /** The whole conversation is known, with members and last message, not only its counters. */
  isLoaded = false;
  readonly members = new Map<string, Member>();
  readonly messages = new Map<number, Message>();
  /** The first message of the range; undefined if no message is known. */
  from: number | undefined;
  /** There is none before it. */
  isComplete = false;
  loading = false;
  gone: ConversationSnapshot["gone"] = null;
  error: ConversationSnapshot["error"] = null;
  /** A draft that the server does not have yet. */
  hasNewDraft = false;
  readonly snapshot: Cell<ConversationSnapshot>;
  readonly view: Cell<ConversationView>;
  /** The last message that `unread` of `info` takes into account. */
  private counted = 0;
  private readonly byId = new Map<string, number>();
  private readonly typing = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly views = new Map<string, [source: unknown, state: unknown, view: ChatMessage]>();

  constructor(
    readonly id: string,
    private readonly around: Surroundings,
  ) {
    this.snapshot = new Cell<ConversationSnapshot>(
      () => this.makeSnapshot(),
      (on) => around.watched(this, on),
    );
    this.view = new Cell<ConversationView>(() => this.makeView());
  }

  changed(): void {
    this.view.invalidate();
    this.snapshot.invalidate();
    this.around.listed(this);
  }

  isOwn(user: string): boolean {
    return this.around.isOwn(this.id, user);
  }

  get isDirect(): boolean {
    return this.info.kind === "direct" || (this.info.kind === "match" && this.info.member_count === 2);
  }

  get topSeq(): number {
    return this.info.seq ?? 0;
  }

  // --- taking states --------------------------------------------------------------------------------------------------

  /** A conversation of the server, or a part of it. */
  merge(given: Partial<Conversation>): void {
    const { members, last_message: last, ...info } = given;
    const draft = this.info.settings?.draft;
    const known = this.topSeq;
    this.info = { ...this.info, ...info };
    this.info.seq = Math.max(known, info.seq ?? 0);
    if (given.unread !== undefined && given.seq !== undefined) this.countFrom(given.seq);
    if (this.hasNewDraft && this.info.settings) this.info.settings = { ...this.info.settings, draft: draft ?? null };
    if (members) {
      this.isLoaded = true;
      this.members.clear();
      for (const member of members) this.members.set(member.user, member);
    }
    if (last && this.from === undefined) this.put(last, "state");
    this.changed();
  }

  /** Takes what was stored of the conversation. */
  restore(info: Partial<Conversation>, members: Member[], messages: Message[], isComplete: boolean): void {
    this.isComplete = isComplete;
    for (const message of messages) this.put(message, "state");
    this.counted = Math.max(0, ...messages.map(({ seq }) => seq));
    this.merge({ ...info, members });
  }

  /** `unread` is that of a state with this `seq`: adds the messages after it that had been counted before. */
  private countFrom(seq: number): void {
    for (const message of this.messages.values())
      if (message.seq > seq && message.seq <= this.counted && this.countsAsUnread(message)) this.count(message, 1);
    this.counted = Math.max(this.counted, seq);
  }

  private countsAsUnread(message: Message): boolean {
    const read = this.info.read_seq ?? 0;
    return message.seq > read && !message.system && !message.deleted_at && !this.isOwn(message.sender);
  }

  private count(message: Message, by: 1 | -1): void {
    const mentioned = message.mentions_everybody || message.mentions?.some((user) => this.isOwn(user));
    this.info.unread = Math.max(0, (this.info.unread ?? 0) + by);
    if (mentioned) this.info.mentions = Math.max(0, (this.info.mentions ?? 0) + by);
  }

  /** `live`: an event for all members, without the marks of this user. */
  put(message: Message, from: "live" | "state"): void {
    const old = this.messages.get(message.seq);
    if (old && (old.rev > message.rev || (old.rev === message.rev && from === "live"))) return;
    if (old && from === "live") message = { ...marksOf(old), ...message };
    this.messages.set(message.seq, message);
    this.byId.set(message.id, message.seq);
    this.from = Math.min(this.from ?? message.seq, message.seq);
    this.info.seq = Math.max(this.topSeq, message.seq);
    if (old) this.requote(message);
  }

  /** Quotes show a message as it is now. */
  private requote(message: Message): void {
    for (const [seq, one] of this.messages) {
      if (one.quote?.message !== message.id) continue;
      const quote = { ...one.quote, text: message.text, deleted: message.deleted_at !== undefined };
      this.messages.set(seq, { ...one, quote });
    }
  }

  /** A page of history before the range, or its latest page. */
  putPage(items: Message[], hasMore: boolean): void {
    for (const message of items) this.put(message, "state");
    if (!hasMore) this.isComplete = true;
    this.changed();
  }

  byMessageId(id: string): Message | undefined {
    const seq = this.byId.get(id);
    return seq === undefined ? undefined : this.messages.get(seq);
  }

  alter(id: string, change: (message: Message) => Partial<Message>): void {
    const message = this.byMessageId(id);
    if (!message) return;
    this.messages.set(message.seq, { ...message, ...change(message) });
    this.changed();
  }

  /** Drops the messages, of which there are now those up to `seq`. */
  reset(seq: number): void {
    this.messages.clear();
    this.byId.clear();
    this.views.clear();
    this.from = undefined;
    this.isComplete = false;
    this.info = { ...this.info, seq, read_seq: Math.min(this.info.read_seq ?? 0, seq) };
    this.counted = seq;
    this.changed();
  }

  /** Keeps the latest messages only. */
  trim(): void {
    if (this.snapshot.isWatched || this.messages.size <= KEPT) return;
    const seqs = [...this.messages.keys()].sort((a, b) => a - b);
    for (const seq of seqs.slice(0, -KEPT)) {
      const message = this.messages.get(seq);
      if (message) this.byId.delete(message.id);
      this.messages.delete(seq);
    }
    this.views.clear();
    this.from = seqs.at(-KEPT);
    this.isComplete = false;
  }

  // --- taking events --------------------------------------------------------------------------------------------------

  take(event: Body): void {
    switch (event.t) {
      case "message.new":
        this.added(event.message);
        break;
      case "message.update":
        this.updated(event);
        break;
      case "message.read":
        this.read(event);
        break;
      case "message.delivered":
        this.receipt(event.user, { delivered_seq: event.seq });
        break;
      case "member.update":
        if (!this.members.has(event.member.user)) this.countMember(1);
        this.members.set(event.member.user, event.member);
        break;
      case "member.left":
        if (this.members.delete(event.departure.user)) this.countMember(-1);
        break;
      case "thread.update":
        this.alter(event.thread, () => ({ rev: event.rev, replies: event.replies ?? undefined }));
        break;
      case "poll.voted":
        this.alter(event.message, (message) => (message.rev > event.vote_rev ? {} : { voted: event.options }));
        break;
      case "typing.start":
        this.setTyping(event.user, event.expires_in);
        return;
      case "typing.stop":
        this.setTyping(event.user, 0);
        return;
    }
    this.changed();
  }

  private added(message: Message): void {
    this.setTyping(message.sender, 0);
    this.put(message, "live");
    if (this.info.settings?.hidden) this.info.settings = { ...this.info.settings, hidden: false };
    if (message.seq > this.counted) {
      this.counted = message.seq;
      if (this.countsAsUnread(message)) this.count(message, 1);
    }
    this.trim();
  }

  private updated(event: Body): void {
    const message = event.message as Message;
    const old = this.messages.get(message.seq);
    const inRange = this.from !== undefined && message.seq >= this.from;
    if (message.deleted_at && !old?.deleted_at && this.countsAsUnread({ ...message, deleted_at: undefined }))
      this.count(message, -1);
    if (inRange) this.put(message, event.change === undefined ? "state" : "live");
    else this.requote(message);
  }

  private read(event: Body): void {
    const delivered = Math.max(event.seq, event.delivered ?? 0);
    this.receipt(event.user, { read_seq: event.seq, delivered_seq: delivered });
    if (!this.isOwn(event.user)) return;
    this.readUpTo(event.seq);
    if (event.unread === undefined) return;
    this.info.unread = event.unread;
    this.info.mentions = event.mentions;
  }

  /** Own messages up to `seq` are read. */
  readUpTo(seq: number): void {
    if (seq <= (this.info.read_seq ?? 0)) return;
    this.info = { ...this.info, read_seq: seq };
    if (seq >= this.topSeq) this.info.unread = this.info.mentions = 0;
    else if (this.from !== undefined && this.from <= seq + 1) {
      this.info.unread = this.info.mentions = 0;
      this.countFrom(seq);
    }
    this.changed();
  }

  private receipt(user: string, seqs: Partial<Member>): void {
    const member = this.members.get(user);
    if (!member) return;
    this.members.set(user, {
      ...member,
      read_seq: Math.max(member.read_seq, seqs.read_seq ?? 0),
      delivered_seq: Math.max(member.delivered_seq, seqs.delivered_seq ?? 0),
    });
  }

  private countMember(by: number): void {
    if (this.info.member_count !== undefined) this.info.member_count += by;
  }

  /** A message of this client is committed. */
  acked(entry: OutboxEntry, ack: MessageAck): void {
    const { fields } = entry;
    this.counted = Math.max(this.counted, ack.seq);
    this.put(
      {
        id: ack.message,
        seq: ack.seq,
        rev: ack.rev,
        sender: this.around.me(this.id),
        client_id: fields.client_id,
        text: ack.text ?? fields.text ?? null,
        attachments: [],
        reply_to: fields.reply_to ?? null,
        created_at: ack.created_at,
        meta: fields.meta ?? null,
        ...(fields.thread ? { thread: fields.thread } : {}),
        ...(ack.expires_at ? { expires_at: ack.expires_at } : {}),
      },
      "live",
    );
    this.trim();
    this.changed();
  }

  mark(mark: Mark): void {
    if (mark.hidden) {
      const message = this.byMessageId(mark.message);
      if (message) this.messages.delete(message.seq);
      this.changed();
    } else this.alter(mark.message, () => ({ starred_at: mark.starred_at ?? undefined }));
  }

  setTyping(user: string, seconds: number): void {
    const timer = this.typing.get(user);
    if (timer === undefined && seconds <= 0) return;
    clearTimeout(timer);
    this.typing.delete(user);
    if (seconds > 0 && !this.isOwn(user))
      this.typing.set(
        user,
        setTimeout(() => this.setTyping(user, 0), seconds * 1000),
      );
    this.snapshot.invalidate();
  }

  /** Nobody is known to type any more: the connection has ended. */
  clearTyping(): void {
    for (const user of [...this.typing.keys()]) this.setTyping(user, 0);
  }

  profile(user: User): void {
    const member = this.members.get(user.id);
    if (!member || member.profile_version > user.profile_version) return;
    const { name, handle, avatar, picture_url, profile_version } = user;
    this.members.set(user.id, { ...member, name, handle, avatar, picture_url, profile_version });
    this.changed();
  }

  end(reason: NonNullable<ConversationSnapshot["gone"]>): void {
    this.gone = reason;
    this.clearTyping();
    this.changed();
  }

  fail(error: { code: RefusalCode; message: string }): void {
    this.error = { code: error.code, message: error.message };
    this.changed();
  }

  // --- showing --------------------------------------------------------------------------------------------------------

  private makeView(): ConversationView {
    const members = [...this.members.values()];
    const others = members.filter((member) => !this.isOwn(member.user));
    const waiting = this.around.waiting(this.id);
    const top = Math.max(...this.messages.keys());
    const message = this.messages.get(top);
    const last = waiting.length
      ? this.waitingView(waiting.at(-1)!)
      : message
        ? this.messageView(message, this.positions())
        : null;
    return {
      ...this.info,
      id: this.id,
      name: this.info.title ?? others.map((member) => member.name ?? member.handle ?? "").filter(Boolean).join(", "),
      partner: this.isDirect ? (others[0] ?? null) : null,
      members,
      unread: this.info.unread ?? 0,
      mentions: this.info.mentions ?? 0,
      last,
      waiting: waiting.length,
      active_at: last?.created_at ?? this.info.created_at ?? 0,
    };
  }

  private makeSnapshot(): ConversationSnapshot {
    const positions = this.positions();
    const seqs = [...this.messages.keys()].sort((a, b) => a - b);
    const messages = seqs.map((seq) => this.messageView(this.messages.get(seq)!, positions));
    for (const entry of this.around.waiting(this.id)) messages.push(this.waitingView(entry));
    const first = Math.max(this.info.first_seq ?? 1, 1);
    return {
      id: this.id,
      conversation: this.isLoaded ? this.view.get() : undefined,
      messages,
      hasOlder: !this.isComplete && this.topSeq > 0 && (this.from === undefined || this.from > first),
      loading: this.loading,
      typing: [...this.typing.keys()],
      gone: this.gone,
      error: this.error,
    };
  }

  /** Up to which message all other members have received and read; undefined if not all of them are known. */
  private positions(): { read: number; delivered: number } | undefined {
    const others = [...this.members.values()].filter((member) => !this.isOwn(member.user));
    if (!others.length || this.members.size < (this.info.member_count ?? 0)) return undefined;
    const read = Math.min(...others.map((member) => member.read_seq));
    return { read, delivered: Math.min(...others.map((member) => Math.max(member.delivered_seq, member.read_seq))) };
  }

  private messageView(message: Message, positions: ReturnType<ConversationState["positions"]>): ChatMessage {
    const own = this.isOwn(message.sender);
    let state: MessageState | undefined;
    if (own && !message.system) {
      state = "sent";
      if (positions && message.seq <= positions.delivered) state = "delivered";
      if (positions && message.seq <= positions.read) state = "read";
    }
    const key = own ? message.client_id : message.id;
    const kept = this.views.get(key);
    if (kept && kept[0] === message && kept[1] === state) return kept[2];
    const view: ChatMessage = { ...message, key, own, ...(state ? { state } : {}) };
    this.views.set(key, [message, state, view]);
    return view;
  }

  private waitingView(entry: OutboxEntry): ChatMessage {
    const { fields } = entry;
    const kept = this.views.get(fields.client_id);
    if (kept && kept[0] === entry) return kept[2];
    const view: ChatMessage = {
      id: null,
      seq: null,
      rev: null,
      key: fields.client_id,
      own: true,
      state: entry.state,
      sender: this.around.me(this.id),
      client_id: fields.client_id,
      text: fields.text ?? null,
      attachments: [],
      reply_to: fields.reply_to ?? null,
      created_at: entry.created_at,
      meta: fields.meta ?? null,
      ...(fields.thread ? { thread: fields.thread } : {}),
      ...(entry.error ? { error: entry.error } : {}),
      ...(entry.local === undefined ? {} : { local: entry.local }),
    };
    this.views.set(fields.client_id, [entry, undefined, view]);
    return view;
  }
}

/** What answers have of a message, and events for all members have not. */
function marksOf({ mine, starred_at, voted }: Message): Partial<Message> {
  return { ...(mine ? { mine } : {}), ...(starred_at ? { starred_at } : {}), ...(voted ? { voted } : {}) };
}
