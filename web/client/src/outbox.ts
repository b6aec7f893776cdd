// The messages that are not acknowledged yet. A message keeps its client_id until the server has acknowledged it, across
// connections and reloads. The order is kept in each conversation.
import { Disconnected, Ended, Refused } from "./errors.js";
import type { Locks } from "./locks.js";
import type { SafeStorage } from "./storage.js";
import { uuid } from "./ids.js";
import { call, Cell, type Readable } from "./readable.js";
import type { Lifetime } from "./lifetime.js";
import { Backoff, monotonic } from "./time.js";
import type { FieldsOf, MessageAck, RefusalCode } from "./wire.js";

const FIRST_RETRY_MS = 100;
const RETRY_AFTER_S = 1;
const MAX_ENTRIES = 10_000;
/** Acknowledged ids that are remembered, so that an event about such a message is known as one of this client. */
const MAX_SENT = 20_000;
/** Digits of the order in a key. */
const DIGITS = 16;

export type SendFields = FieldsOf<"message.send">;

export interface OutboxEntry {
  readonly fields: SendFields;
  /** The server's time when it was written, in milliseconds. */
  readonly created_at: number;
  readonly state: "queued" | "failed";
  readonly error?: { code: RefusalCode; message: string };
  /** What the app wants to know of it until it is sent, such as the address of a picture. It is not sent. */
  readonly local?: unknown;
}

export interface OutboxEvents {
  /** Resolves when messages can be sent. Throws Ended. */
  ready(): Promise<unknown>;
  deliver(fields: SendFields): Promise<MessageAck>;
  changed(conversation: string): void;
  /** Called before the entry is removed. */
  acked(entry: OutboxEntry, ack: MessageAck): void;
}

interface Sending {
  entry: OutboxEntry;
  key: string | undefined;
  /** When it was written, in microseconds; later messages of one client have higher ones. */
  order: number;
  resolve(ack: MessageAck): void;
  reject(error: Error): void;
}

export class Outbox {
  /** All messages that wait or have failed, in their order. */
  readonly entries: Readable<readonly OutboxEntry[]>;
  private readonly cell: Cell<readonly OutboxEntry[]>;
  private readonly sendings = new Map<string, Sending>();
  private readonly sent = new Set<string>();
  private readonly pumping = new Set<string>();
  /** Ends the locks of now. */
  private releases: (() => void)[] = [];
  private owner = uuid();
  private readonly known = new Set<string>();
  private prefix: string | undefined;
  private lastOrder = 0;
  private writes: Promise<void> = Promise.resolve();
  private opening: Promise<void> | undefined;
  /** Counts the starts. */
  private run = 0;
  private stopped = false;

  constructor(
    private readonly storage: SafeStorage,
    private readonly locks: Locks,
    private readonly events: OutboxEvents,
    private readonly life: Lifetime,
  ) {
    this.cell = new Cell<readonly OutboxEntry[]>(() => this.inOrder().map((sending) => sending.entry));
    this.entries = this.cell;
  }

  of(conversation: string): OutboxEntry[] {
    return this.inOrder()
      .map((sending) => sending.entry)
      .filter((entry) => entry.fields.conversation === conversation);
  }

  /** Whether this client has sent the message: its ack contains everything that the event contains. */
  hasSent(clientId: string): boolean {
    return this.sent.has(clientId);
  }

  note(clientId: string): void {
    this.sent.add(clientId);
    if (this.sent.size > MAX_SENT) for (const first of this.sent) return void this.sent.delete(first);
  }

  /** Adds a message. Returns its ack, which may be ignored. */
  put(fields: SendFields, createdAt: number, local?: unknown): Promise<MessageAck> {
    if (this.sendings.size >= MAX_ENTRIES) throw new Refused("too_large", "too many messages wait to be sent");
    const entry: OutboxEntry = { fields, created_at: createdAt, state: "queued", ...(local === undefined ? {} : { local }) };
    const ack = this.add(entry, Math.max(this.lastOrder + 1, createdAt * 1000));
    this.save(fields.client_id);
    return ack;
  }

  private add(entry: OutboxEntry, order: number): Promise<MessageAck> {
    const ack = new Promise<MessageAck>((resolve, reject) => {
      this.sendings.set(entry.fields.client_id, { entry, key: undefined, order, resolve, reject });
    });
    ack.catch(() => {});
    this.lastOrder = Math.max(this.lastOrder, order);
    this.note(entry.fields.client_id);
    this.touch(entry);
    void this.pump(entry.fields.conversation);
    return ack;
  }

  /** Sends a failed message again, in its place. */
  retry(clientId: string): void {
    const sending = this.sendings.get(clientId);
    if (sending?.entry.state !== "failed") return;
    const { error: _, ...entry } = sending.entry;
    this.update(sending, { ...entry, state: "queued" });
    void this.pump(entry.fields.conversation);
  }

  /** Drops a message. One that is on its way may arrive nevertheless. */
  discard(clientId: string): void {
    const sending = this.sendings.get(clientId);
    if (sending) this.remove(sending);
    sending?.reject(new Disconnected("the message was discarded"));
  }

  private inOrder(): Sending[] {
    return [...this.sendings.values()].sort((a, b) => a.order - b.order);
  }

  private touch(entry: OutboxEntry): void {
    this.cell.invalidate();
    this.events.changed(entry.fields.conversation);
  }

  private update(sending: Sending, entry: OutboxEntry): void {
    sending.entry = entry;
    this.touch(entry);
    this.save(entry.fields.client_id);
  }

  private remove(sending: Sending): void {
    this.sendings.delete(sending.entry.fields.client_id);
    this.touch(sending.entry);
    this.write(async () => {
      if (sending.key !== undefined) await this.storage.remove(sending.key);
    });
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  private async pump(conversation: string): Promise<void> {
    if (this.pumping.has(conversation)) return;
    this.pumping.add(conversation);
    const head = (): Sending | undefined =>
      this.inOrder().find(({ entry }) => entry.fields.conversation === conversation && entry.state === "queued");
    let backoff = new Backoff(Math.random, FIRST_RETRY_MS);
    try {
      while (!this.stopped && head()) {
        const { run } = this;
        try {
          // Before the connection it is not known what closed tabs have left, which may come first.
          await this.events.ready();
          const next = head();
          if (!next || this.stopped) continue;
          await this.deliver(next);
          backoff = new Backoff(Math.random, FIRST_RETRY_MS);
        } catch (error) {
          if (error instanceof Ended) {
            if (run === this.run) this.pause();
          } else await this.life.sleep(backoff.next(monotonic(), waitOf(error)));
        }
      }
    } finally {
      this.pumping.delete(conversation);
    }
  }

  /** Sends the message once. Throws Ended, Disconnected, and Refused if it may be repeated. */
  private async deliver(sending: Sending): Promise<void> {
    const isThere = (): boolean => this.sendings.get(sending.entry.fields.client_id) === sending;
    try {
      const ack = await this.events.deliver(sending.entry.fields);
      if (!isThere()) return;
      this.events.acked(sending.entry, ack);
      this.remove(sending);
      call(sending.resolve, ack);
    } catch (error) {
      const isFinal = error instanceof Refused ? !error.retryable : !(error instanceof Ended || error instanceof Disconnected);
      if (!isFinal) throw error;
      if (isThere()) this.fail(sending, error as Error);
    }
  }

  private fail(sending: Sending, error: Error): void {
    const code = error instanceof Refused ? error.code : "bad_request";
    this.update(sending, { ...sending.entry, state: "failed", error: { code, message: error.message } });
    sending.reject(error);
  }

  /** Sends nothing until `resume`: the server has rejected the account. */
  private pause(): void {
    this.stopped = true;
  }

  resume(): void {
    this.stopped = false;
    this.run += 1;
    for (const { entry } of this.inOrder()) void this.pump(entry.fields.conversation);
  }

  // --- keeping ------------------------------------------------------------------------------------------------------

  /** Keeps messages under this name from now on, and takes over those that closed tabs have left. Call it before each
   * connection. */
  async open(account: string): Promise<void> {
    const isFirst = !this.opening;
    await (this.opening ??= this.openAs(account, this.releases));
    if (!isFirst && this.locks.areReal) await this.inheritAll(this.releases);
  }

  private async openAs(account: string, releases: (() => void)[]): Promise<void> {
    this.prefix ??= `chatd/outbox/${account}/`;
    this.known.add(this.owner);
    const lock = this.lock(this.owner);
    await new Promise<void>((resolve) => releases.push(this.locks.hold(lock, resolve)));
    for (const [id, sending] of this.sendings) {
      sending.key = undefined;
      this.save(id);
    }
    await this.writes;
    const found = (name: string): void => void this.inherit(name.slice(this.prefix!.length), releases);
    if (releases === this.releases) releases.push(this.locks.announce(this.prefix, lock, found));
    await this.inheritAll(releases);
  }

  /** Takes over from all owners: those that have left something, and those that live. */
  private async inheritAll(releases: (() => void)[]): Promise<void> {
    const prefix = this.prefix ?? "";
    const names = [...(await this.storage.keys(prefix)), ...(await this.locks.held(prefix))];
    const owners = new Set(names.map((name) => name.slice(prefix.length).split("/")[0] ?? ""));
    await Promise.all([...owners].map((owner) => this.inherit(owner, releases)));
  }

  /** Takes over the messages of an owner that has ended, now or when it ends. */
  private async inherit(owner: string, releases: (() => void)[]): Promise<void> {
    if (releases !== this.releases || this.known.has(owner)) return;
    this.known.add(owner);
    const isAlive = (await this.locks.held(this.lock(owner))).length > 0;
    if (releases !== this.releases) return;
    const done = new Promise<void>((resolve) => {
      const release = this.locks.hold(this.lock(owner), () => {
        void this.takeOver(owner, releases).finally(() => {
          release();
          resolve();
        });
      });
      releases.push(release);
    });
    if (!isAlive) await done;
  }

  private lock(owner: string): string {
    return `${this.prefix}${owner}`;
  }

  private async takeOver(owner: string, releases: (() => void)[]): Promise<void> {
    const start = `${this.lock(owner)}/`;
    for (const key of await this.storage.keys(start)) {
      const entry = parsed(await this.storage.get(key));
      // Stopped meanwhile: it stays for a later client.
      if (releases !== this.releases) return;
      if (entry && !this.sendings.has(entry.fields.client_id)) {
        void this.add(entry, parseInt(key.slice(start.length), 10) || 0);
        this.save(entry.fields.client_id);
        await this.writes;
      }
      await this.storage.remove(key);
    }
  }

  private save(clientId: string): void {
    if (this.prefix === undefined) return;
    this.write(async () => {
      const sending = this.sendings.get(clientId);
      if (!sending) return;
      sending.key ??= `${this.lock(this.owner)}/${String(sending.order).padStart(DIGITS, "0")}-${clientId}`;
      await this.storage.set(sending.key, JSON.stringify(sending.entry));
    });
  }

  /** One write after the other. */
  private write(act: () => Promise<void>): void {
    this.writes = this.writes.then(act, act);
  }

  /** Ends sending, and leaves what is kept to a later client. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.opening = undefined;
    const releases = this.releases;
    this.releases = [];
    // Another tab may take over what is kept: a later start is that of another owner.
    this.owner = uuid();
    this.known.clear();
    await this.writes;
    for (const release of releases) release();
  }
}

/** How long the server wants this client to wait, in milliseconds. */
function waitOf(error: unknown): number | undefined {
  return error instanceof Refused ? (error.retryAfter ?? RETRY_AFTER_S) * 1000 : undefined;
}

function parsed(text: string | null): OutboxEntry | undefined {
  try {
    return text === null ? undefined : (JSON.parse(text) as OutboxEntry);
  } catch {
    return undefined;
  }
}
