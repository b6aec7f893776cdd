// The messages that are not acknowledged yet. A message keeps its client_id until the server has acknowledged it, across
// connections and reloads. The order is kept in each conversation.
import { Disconnected, Ended, Refused } from "./errors.js";
import type { Locks } from "./locks.js";
import type { SafeStorage } from "./storage.js";
import { uuid } from "./ids.js";
import { call, Cell, type Readable } from "./readable.js";
import { sleep } from "./time.js";
import type { FieldsOf, MessageAck, RefusalCode } from "./wire.js";

const SOON_MS = 20;
const RETRY_AFTER_S = 1;
const MAX_ENTRIES = 10_000;
/** Acknowledged ids that are remembered, so that an event about such a message is known as one of this client. */
const MAX_SENT = 20_000;
/** The order of the first message that was written here. */
const OWN = 1e9;

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
  deliver(fields: SendFields): Promise<MessageAck>;
  changed(conversation: string): void;
  /** Called before the entry is removed. */
  acked(entry: OutboxEntry, ack: MessageAck): void;
}

interface Sending {
  entry: OutboxEntry;
  key: string | undefined;
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
  private readonly releases: (() => void)[] = [];
  private readonly owner = uuid();
  private prefix: string | undefined;
  // What was taken over comes before what was written here.
  private lastOrder = OWN;
  private lastTakenOver = 0;
  private writes: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    private readonly storage: SafeStorage,
    private readonly locks: Locks,
    private readonly events: OutboxEvents,
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
    const ack = this.add(entry, ++this.lastOrder);
    this.save(fields.client_id);
    return ack;
  }

  private add(entry: OutboxEntry, order: number): Promise<MessageAck> {
    const ack = new Promise<MessageAck>((resolve, reject) => {
      this.sendings.set(entry.fields.client_id, { entry, key: undefined, order, resolve, reject });
    });
    ack.catch(() => {});
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
    try {
      for (;;) {
        const next = this.inOrder().find(
          ({ entry }) => entry.fields.conversation === conversation && entry.state === "queued",
        );
        if (!next || this.stopped) return;
        await this.settle(next);
      }
    } finally {
      this.pumping.delete(conversation);
    }
  }

  /** Waits until the server has acknowledged the message, or has refused it permanently. */
  private async settle(sending: Sending): Promise<void> {
    const id = sending.entry.fields.client_id;
    while (this.sendings.get(id) === sending && !this.stopped) {
      try {
        const ack = await this.events.deliver(sending.entry.fields);
        if (this.sendings.get(id) !== sending) return;
        this.events.acked(sending.entry, ack);
        this.remove(sending);
        return call(sending.resolve, ack);
      } catch (error) {
        if (error instanceof Ended) return this.pause();
        if (error instanceof Disconnected) await sleep(SOON_MS);
        else if (error instanceof Refused && error.retryable) await sleep((error.retryAfter ?? RETRY_AFTER_S) * 1000);
        else return this.fail(sending, error as Error);
      }
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
    for (const { entry } of this.inOrder()) void this.pump(entry.fields.conversation);
  }

  // --- keeping ------------------------------------------------------------------------------------------------------

  /** Keeps messages under this name from now on, and takes over those that closed tabs have left. */
  async open(account: string): Promise<void> {
    if (this.releases.length) return;
    this.prefix ??= `chatd/outbox/${account}/`;
    const prefix = this.prefix;
    await new Promise<void>((resolve) => this.releases.push(this.locks.hold(this.lock(this.owner), resolve)));
    for (const id of this.sendings.keys()) this.save(id);
    const keys = await this.storage.keys(prefix);
    const owners = new Set(keys.map((key) => key.slice(prefix.length).split("/")[0] ?? ""));
    owners.delete(this.owner);
    await Promise.all([...owners].map((owner) => this.inherit(owner)));
  }

  /** Takes over the messages of an owner that has ended, now or when it ends. */
  private async inherit(owner: string): Promise<void> {
    const isAlive = await this.locks.isHeld(this.lock(owner));
    const done = new Promise<void>((resolve) => {
      const release = this.locks.hold(this.lock(owner), () => {
        void this.takeOver(owner).finally(() => {
          release();
          resolve();
        });
      });
      this.releases.push(release);
    });
    if (!isAlive) await done;
  }

  private lock(owner: string): string {
    return `${this.prefix}${owner}`;
  }

  private async takeOver(owner: string): Promise<void> {
    for (const key of await this.storage.keys(`${this.lock(owner)}/`)) {
      const text = await this.storage.get(key);
      const entry = text === null ? undefined : (JSON.parse(text) as OutboxEntry);
      if (entry && !this.sendings.has(entry.fields.client_id)) {
        void this.add(entry, ++this.lastTakenOver);
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
      sending.key ??= `${this.lock(this.owner)}/${String(sending.order).padStart(12, "0")}`;
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
    await this.writes;
    for (const release of this.releases.splice(0)) release();
  }
}
