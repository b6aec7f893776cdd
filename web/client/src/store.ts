// All conversations, as far as they are known, and the list of them.
import { ConversationState, type Surroundings } from "./conversation-state.js";
import { Refused } from "./errors.js";
import type { Lifetime } from "./lifetime.js";
import type { Outbox, OutboxEntry } from "./outbox.js";
import { Cell, type Readable } from "./readable.js";
import type { ServerClock } from "./time.js";
import type { Timeline } from "./timeline.js";
import type { ConversationList } from "./views.js";
import type { Body, CommandName, Conversation, FieldsOf, MessageAck, Result } from "./wire.js";

const PAGE = 50;
/** The longest page of the server. */
const MAX_PAGE = 200;
/** Conversations that are fetched one by one; more are taken from the list. */
const MAX_WANTED = 20;
const DELIVERED_AFTER_MS = 300;
const RETRY_MS = 1000;

/** A query that is repeated until it is answered, or refused. */
export type Ask = <Name extends CommandName>(name: Name, fields: FieldsOf<Name>) => Promise<Result<Name>>;

export class Store implements Surroundings {
  readonly list: Readable<ConversationList>;
  private readonly listCell: Cell<ConversationList>;
  private readonly states = new Map<string, ConversationState>();
  private cursor: string | null | undefined;
  private page: Promise<void> | undefined;
  private readonly wanted = new Set<string>();
  private fetching = false;
  private readonly received = new Map<string, number>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly timeline: Timeline,
    private readonly outbox: () => Outbox,
    private readonly clock: ServerClock,
    private readonly ask: Ask,
    /** Reports what has been received; undefined if the app does that itself. */
    private readonly deliver: ((conversation: string, seq: number) => void) | undefined,
    private readonly life: Lifetime,
    /** Called for each conversation that has changed. */
    private readonly changed: (conversation: string) => void,
  ) {
    this.listCell = new Cell<ConversationList>(() => this.makeList());
    this.list = this.listCell;
  }

  // --- Surroundings ---------------------------------------------------------------------------------------------------

  isOwn(conversation: string, user: string): boolean {
    return this.timeline.isOwn(conversation, user);
  }

  me(conversation: string): string {
    return this.timeline.knownAs(conversation);
  }

  waiting(conversation: string): OutboxEntry[] {
    return this.outbox().of(conversation);
  }

  now(): number {
    return this.clock.now();
  }

  listed(state: ConversationState): void {
    this.listCell.invalidate();
    this.changed(state.id);
  }

  watched(state: ConversationState, on: boolean): void {
    if (on) void this.loadLatest(state);
    else state.trim();
  }

  // --- states ---------------------------------------------------------------------------------------------------------

  get(id: string): ConversationState {
    let state = this.states.get(id);
    if (!state) this.states.set(id, (state = new ConversationState(id, this)));
    return state;
  }

  all(): Iterable<ConversationState> {
    return this.states.values();
  }

  take(conversation: Partial<Conversation> & { id: string }): void {
    const state = this.get(conversation.id);
    if (state.gone) {
      // A member again, of what may be another range of messages.
      state.gone = null;
      state.reset(conversation.seq ?? 0);
    }
    state.merge(conversation);
  }

  /** The states of session.sync. */
  takeStates(session: Body): void {
    for (const state of session.conversations) this.take(state);
  }

  /** The list is shown for the first time, or again after an absence. */
  connected(): void {
    for (const state of this.states.values()) state.clearTyping();
    if (this.cursor === undefined) this.more().catch(() => {});
    if (this.wanted.size && !this.fetching) void this.fetchWanted();
    for (const state of this.states.values())
      if (state.snapshot.isWatched && state.from === undefined) void this.loadLatest(state);
  }

  /** Loads the next page of the list. */
  more(): Promise<void> {
    if (this.cursor === null) return Promise.resolve();
    this.page ??= this.loadPage().finally(() => {
      this.page = undefined;
      this.listCell.invalidate();
    });
    this.listCell.invalidate();
    return this.page;
  }

  private async loadPage(): Promise<void> {
    const fields: FieldsOf<"conversation.list"> = { limit: PAGE, order: "pinned" };
    const page = await this.ask("conversation.list", this.cursor ? { ...fields, cursor: this.cursor } : fields);
    for (const conversation of page.items) {
      this.take(conversation);
      const { delivered_seq: delivered = 0, seq, last_message: last } = conversation;
      if (last && delivered < seq) this.noteReceived(conversation.id, seq);
    }
    this.cursor = page.cursor;
  }

  private makeList(): ConversationList {
    let unread = 0;
    const now = this.clock.now();
    const items = [];
    for (const state of this.states.values()) {
      if (state.gone) continue;
      const { settings } = state.info;
      if (!settings?.archived && (settings?.muted_until ?? 0) <= now) unread += state.info.unread ?? 0;
      if (state.isLoaded && !settings?.hidden) items.push(state.view.get());
    }
    const pinned = (at: number | null | undefined): number => at ?? 0;
    items.sort(
      (a, b) => pinned(b.settings?.pinned_at) - pinned(a.settings?.pinned_at) || b.active_at - a.active_at,
    );
    return { items, hasMore: this.cursor !== null, loading: this.page !== undefined, unread };
  }

  // --- events ---------------------------------------------------------------------------------------------------------

  /** An event of the timeline. */
  takeEvent(event: Body): void {
    switch (event.t) {
      case "conversation.update":
        return this.updated(event.conversation);
      case "conversation.gone":
        return this.get(event.conversation).end(event.reason);
      case "conversation.reset":
        return this.restart(event.conversation, event.seq);
      case "match.kept":
        return this.restart(event.conversation, this.get(event.conversation).topSeq);
      case "session.changed":
        for (const mark of event.marks) this.states.get(mark.conversation)?.mark(mark);
        return;
      case "user.updated":
        for (const state of this.states.values()) state.profile(event.user);
        return;
      case "match.found":
        return this.fetch(event.conversation);
    }
    if (typeof event.conversation !== "string" || event.t === "request.new" || event.t.startsWith("join.")) return;
    const state = this.get(event.conversation);
    state.take(event);
    if (!state.isLoaded && event.rev !== undefined) this.fetch(event.conversation);
    if (event.t === "message.new" && !this.isOwn(event.conversation, event.message.sender))
      this.noteReceived(event.conversation, event.message.seq);
    if (event.t === "message.update" && this.isOwn(event.conversation, event.by ?? "")) this.marks(state, event);
  }

  /** After a reaction or vote of this user: `mine` and `voted` are in answers only. */
  private marks(state: ConversationState, event: Body): void {
    if (event.change === "reaction" || event.change === "vote") void this.refetch(state, event.message.seq);
  }

  private updated(conversation: Conversation): void {
    this.take(conversation);
    const { isLoaded, info } = this.get(conversation.id);
    // Events for several members have no settings.
    if (!isLoaded || !info.settings) this.fetch(conversation.id);
  }

  private restart(id: string, seq: number): void {
    const state = this.get(id);
    state.reset(seq);
    this.fetch(id);
    if (state.snapshot.isWatched) void this.loadLatest(state);
  }

  acked(entry: OutboxEntry, ack: MessageAck): void {
    const state = this.get(entry.fields.conversation);
    state.acked(entry, ack);
    const { attachments, reply_to, mentions, everybody } = entry.fields;
    if (attachments?.length || reply_to || mentions?.length || everybody) void this.refetch(state, ack.seq);
    if (!state.isLoaded) this.fetch(state.id);
  }

  // --- fetching -------------------------------------------------------------------------------------------------------

  /** Fetches a conversation that the list does not have yet; one at a time, because there may be thousands. */
  fetch(id: string): void {
    this.wanted.add(id);
    if (!this.fetching) void this.fetchWanted();
  }

  private async fetchWanted(): Promise<void> {
    const { signal } = this.life;
    this.fetching = true;
    try {
      for (let [id] = this.wanted; id !== undefined && !signal.aborted; [id] = this.wanted) {
        if (this.wanted.size > MAX_WANTED) await this.fetchMany();
        else if (await this.fetchOne(id)) this.wanted.delete(id);
      }
    } finally {
      this.fetching = false;
    }
  }

  /** The list has what is wanted: conversations with events are the most recent ones. Those behind its first page come
   * with later pages, or when the app looks at them. */
  private async fetchMany(): Promise<void> {
    const wanted = [...this.wanted];
    try {
      const page = await this.ask("conversation.list", { limit: MAX_PAGE, order: "active" });
      for (const conversation of page.items) this.take(conversation);
      this.wanted.clear();
      for (const id of wanted) {
        const state = this.states.get(id);
        if (!state?.isLoaded && state?.snapshot.isWatched && this.wanted.size < MAX_WANTED) this.wanted.add(id);
        // The list is paged once more for them.
        else if (!state?.isLoaded && this.cursor === null) this.cursor = undefined;
      }
      this.listCell.invalidate();
    } catch (error) {
      if (error instanceof Refused) this.wanted.clear();
      else await this.life.sleep(RETRY_MS);
    }
  }

  /** Returns whether the server has answered. */
  private async fetchOne(id: string): Promise<boolean> {
    try {
      this.take((await this.ask("conversation.get", { conversation: id })).conversation);
    } catch (error) {
      if (error instanceof Refused) this.get(id).fail(error);
      else {
        await this.life.sleep(RETRY_MS);
        return false;
      }
    }
    return true;
  }

  async refetch(state: ConversationState, seq: number): Promise<void> {
    const page = await this.ask("message.history", { conversation: state.id, after: seq - 1, limit: 1 }).catch(() => null);
    const message = page?.items[0];
    if (message?.seq !== seq) return;
    state.put(message, "state");
    state.changed();
  }

  /** The latest messages, if they are not there; and the conversation itself. */
  async loadLatest(state: ConversationState): Promise<void> {
    if (!state.isLoaded) this.fetch(state.id);
    if (state.messages.size < PAGE / 2) await this.loadOlder(state);
  }

  /** A page of messages before those that are known. */
  async loadOlder(state: ConversationState): Promise<void> {
    if (state.loading || state.isComplete || state.gone) return;
    state.loading = true;
    state.changed();
    const from = state.from;
    try {
      const fields = { conversation: state.id, limit: PAGE };
      const page = await this.ask("message.history", from === undefined ? fields : { ...fields, before: from });
      state.error = null;
      // A reset in between has begun anew.
      if (state.from === from || (from === undefined && state.from !== undefined)) state.putPage(page.items, page.more);
    } catch (error) {
      if (error instanceof Refused) state.fail(error);
    } finally {
      state.loading = false;
      state.changed();
    }
  }

  // --- receipts -------------------------------------------------------------------------------------------------------

  private noteReceived(conversation: string, seq: number): void {
    if (!this.deliver) return;
    this.received.set(conversation, Math.max(seq, this.received.get(conversation) ?? 0));
    this.timer ??= setTimeout(() => this.reportReceived(), DELIVERED_AFTER_MS);
  }

  private reportReceived(): void {
    this.timer = undefined;
    const received = [...this.received];
    this.received.clear();
    for (const [conversation, seq] of received)
      if (seq > (this.get(conversation).info.read_seq ?? 0)) this.deliver?.(conversation, seq);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const state of this.states.values()) state.clearTyping();
  }
}
