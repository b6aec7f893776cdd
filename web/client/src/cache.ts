// The conversations and latest messages that an app shows when it starts without a network. Each item has its place in
// the order of its conversation, so that the next connection finds what is missing. Losing items costs only requests.
import type { ConversationState } from "./conversation-state.js";
import type { KeyValueStorage } from "./storage.js";
import type { Timeline } from "./timeline.js";
import type { Body, Conversation, Member, Message } from "./wire.js";

const VERSION = 1;
const MAX_CONVERSATIONS = 100;
const MAX_MESSAGES = 50;
const SAVE_AFTER_MS = 500;
/** With more new messages than this, the latest ones are loaded instead. */
const MAX_GAP = 100;

interface Item {
  v: number;
  user: string;
  info: Partial<Conversation>;
  members: Member[];
  messages: Message[];
  isComplete: boolean;
  place: [seq: number, rev: number];
}

export class Cache {
  /** Conversations that come from the storage, and were not compared with the server yet. */
  private readonly restored = new Set<string>();
  /** What is stored, with the time of its last activity. */
  private readonly stored = new Map<string, number>();
  private readonly dirty = new Set<string>();
  private prefix: string | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private writes: Promise<void> = Promise.resolve();
  private isOff = false;

  constructor(
    private readonly storage: KeyValueStorage,
    private readonly timeline: Timeline,
    private readonly stateOf: (id: string) => ConversationState,
  ) {}

  /** Shows what is stored of this account; the first call only. */
  async open(account: string): Promise<void> {
    if (this.isOff || this.prefix !== undefined) return;
    const prefix = (this.prefix = `chatd/cache/${account}/`);
    const keys = await this.storage.getAllKeys().catch(() => undefined);
    // Denied: it would only cost time.
    if (!keys) return void (this.isOff = true);
    const load = async (key: string): Promise<void> => {
      const item = parsed(await this.storage.getItem(key).catch(() => null));
      if (!item) return this.drop(key.slice(prefix.length));
      this.show(key.slice(prefix.length), item);
    };
    await Promise.all(keys.filter((key) => key.startsWith(prefix)).map(load));
  }

  private show(id: string, item: Item): void {
    const state = this.stateOf(id);
    this.stored.set(id, state.view.get().active_at);
    // Another user, or what a connection has brought meanwhile.
    const isOther = this.timeline.user !== "" && this.timeline.user !== item.user;
    if (this.isOff || isOther || state.isLoaded || state.messages.size) return;
    if (!this.timeline.restore(id, item.place, item.info.alias ?? undefined)) return;
    this.timeline.user = item.user;
    state.restore(item.info, item.members, item.messages, item.isComplete);
    this.stored.set(id, state.view.get().active_at);
    this.restored.add(id);
    this.dirty.delete(id);
  }

  /** Compares with all states of the server. Returns the events of conversations that have ended. */
  compare(states: Body[]): Body[] {
    const present = new Map(states.map((state) => [state.id as string, state.seq as number]));
    const gone: Body[] = [];
    for (const id of this.restored) {
      const seq = present.get(id);
      const known = this.timeline.places.get(id);
      if (seq === undefined) gone.push(...this.timeline.forget(id));
      else if (known && seq - known.seq > MAX_GAP) {
        this.timeline.places.delete(id);
        this.stateOf(id).reset(seq);
      }
    }
    this.restored.clear();
    return gone;
  }

  /** A conversation has changed. */
  touch(id: string): void {
    if (this.isOff) return;
    this.dirty.add(id);
    if (this.prefix !== undefined) this.timer ??= setTimeout(() => void this.flush(), SAVE_AFTER_MS);
  }

  private flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    return (this.writes = this.writes.then(() => this.save()));
  }

  private async save(): Promise<void> {
    for (const id of [...this.dirty]) {
      const state = this.stateOf(id);
      const place = this.timeline.places.get(id);
      if (this.isOff || (!state.gone && (!place || !state.isLoaded || this.timeline.behind.has(id)))) continue;
      this.dirty.delete(id);
      if (state.gone) await this.drop(id);
      else if (place) await this.keep(state, [place.seq, place.rev]);
    }
  }

  private async keep(state: ConversationState, place: Item["place"]): Promise<void> {
    const { id } = state;
    const oldest = [...this.stored].reduce((a, b) => (b[1] < a[1] ? b : a), ["", Infinity] as [string, number]);
    const activeAt = state.view.get().active_at;
    if (!this.stored.has(id) && this.stored.size >= MAX_CONVERSATIONS) {
      if (activeAt <= oldest[1]) return;
      await this.drop(oldest[0]);
    }
    this.stored.set(id, activeAt);
    const messages = [...state.messages.values()].sort((a, b) => a.seq - b.seq).slice(-MAX_MESSAGES);
    const isComplete = state.isComplete && messages.length === state.messages.size;
    const members = [...state.members.values()];
    const { user } = this.timeline;
    const item: Item = { v: VERSION, user, info: state.info, members, messages, isComplete, place };
    try {
      await this.storage.setItem(this.prefix + id, JSON.stringify(item));
    } catch {
      // Full or denied: the room is for messages that are not sent yet.
      await this.erase();
    }
  }

  private async drop(id: string): Promise<void> {
    this.stored.delete(id);
    await this.storage.removeItem(this.prefix + id).catch(() => {});
  }

  /** Removes everything of this account, and keeps nothing until the next client. */
  async erase(): Promise<void> {
    this.isOff = true;
    clearTimeout(this.timer);
    const { prefix } = this;
    if (prefix === undefined) return;
    const keys = await this.storage.getAllKeys().catch(() => []);
    for (const key of keys) if (key.startsWith(prefix)) await this.storage.removeItem(key).catch(() => {});
  }

  async stop(): Promise<void> {
    if (this.prefix !== undefined && this.dirty.size) await this.flush();
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}

function parsed(text: string | null): Item | undefined {
  try {
    const item = JSON.parse(text ?? "null") as Item | null;
    return item?.v === VERSION && Array.isArray(item.messages) && Array.isArray(item.members) ? item : undefined;
  } catch {
    return undefined;
  }
}
