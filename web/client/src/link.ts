// One connection: sends commands, hands out answers and events. It ends once, with a reason.
import { Disconnected, Refused, refusal } from "./errors.js";
import { monotonic } from "./time.js";
import type { Close, Handlers, Transport } from "./transport.js";
import type { Body, Connected } from "./wire.js";

/** Before the first frame of the server has named the limits. */
const HEARTBEAT_S = 25;
const MAX_BYTES = 65_536;
const CONNECT_TIMEOUT_MS = 15_000;
/** How long an answer to a ping may take when there is doubt: after the device has slept, or changed its network. */
const DOUBT_MS = 5_000;
const MAX_ID = 2 ** 32 - 1;

export interface LinkEvents {
  event(body: Body): void;
  /** Called for each answer, in the order of the frames, before the caller that waits for it. */
  answer(command: Body, reply: Body): void;
}

interface Waiting {
  command: Body;
  resolve(reply: Body): void;
  reject(error: Error): void;
}

export class Link implements Handlers {
  /** The first frame. */
  readonly hello: Promise<Connected>;
  /** The reason, once it has ended. */
  readonly closing: Promise<Close>;
  reason: Close | undefined;
  private transport: Transport | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private isGreeted = false;
  private isDoubted = false;
  /** When the connection ends unless a ping is answered. */
  private pingEndsAt = Infinity;
  private lastId = 0;
  private receivedAt = monotonic();
  private heartbeatMs = HEARTBEAT_S * 1000;
  private maxBytes = MAX_BYTES;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private greet!: (hello: Connected) => void;
  private fail!: (error: Error) => void;
  private finish!: (close: Close) => void;

  constructor(
    private readonly events: LinkEvents,
    open: (handlers: Handlers) => Transport,
  ) {
    this.closing = new Promise((resolve) => (this.finish = resolve));
    this.hello = new Promise((resolve, reject) => {
      this.greet = resolve;
      this.fail = reject;
    });
    this.hello.catch(() => {});
    this.timer = setTimeout(() => this.close(), CONNECT_TIMEOUT_MS);
    try {
      this.transport = open(this);
    } catch (error) {
      clearTimeout(this.timer);
      throw error;
    }
    if (this.reason) this.transport.close();
  }

  get kind(): Transport["kind"] | undefined {
    return this.transport?.kind;
  }

  get isOpen(): boolean {
    return this.reason === undefined;
  }

  alive(): void {
    this.receivedAt = monotonic();
  }

  frame(id: number, body: Body): void {
    if (this.reason) return;
    try {
      if (id !== 0) this.answered(id, body);
      else if (body.t === "connected") this.opened(body as unknown as Connected);
      else this.events.event(body);
    } catch (error) {
      // A bug: what this frame has changed is unknown. The next connection syncs.
      this.close();
      throw error;
    }
  }

  private opened(hello: Connected): void {
    if (this.isGreeted) return this.close();
    this.isGreeted = true;
    this.heartbeatMs = hello.heartbeat * 1000;
    this.maxBytes = hello.limits.max_message;
    clearTimeout(this.timer);
    this.watch();
    this.greet(hello);
  }

  private answered(id: number, reply: Body): void {
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    this.waiting.delete(id);
    this.events.answer(waiting.command, reply);
    if (reply.t === "error") waiting.reject(refusal(reply));
    else waiting.resolve(reply);
  }

  lost(id: number): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    waiting?.reject(new Disconnected());
  }

  closed(close: Close): void {
    if (this.reason) return;
    if (this.isDoubted && !this.isGreeted) close = { ...close, doubted: true };
    this.reason = close;
    clearTimeout(this.timer);
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const one of waiting) one.reject(new Disconnected());
    this.fail(new Disconnected());
    this.finish(close);
  }

  /** Closes this connection; the client then opens another one. */
  close(): void {
    this.transport?.close();
    this.closed({ code: 1006, reason: "", opened: this.isGreeted });
  }

  /** Sends a command and waits for its answer. Throws Refused, Disconnected. */
  call(command: Body): Promise<Body> {
    return new Promise((resolve, reject) => {
      this.lastId = (this.lastId % MAX_ID) + 1;
      const id = this.lastId;
      this.send(id, command, () => this.waiting.set(id, { command, resolve, reject }));
    });
  }

  /** Sends a command without waiting for an answer. Throws Refused for one that is too large, Disconnected. */
  notify(command: Body): void {
    this.send(0, command, () => {});
  }

  private send(id: number, command: Body, before: () => void): void {
    if (this.reason || !this.transport) throw new Disconnected();
    const text = JSON.stringify([id, command]);
    const size = bytesOf(text);
    if (size > this.maxBytes)
      throw new Refused("too_large", `the message has ${size} bytes; the server accepts at most ${this.maxBytes}`);
    before();
    this.transport.send(id, command, text);
  }

  /** Detects a dead connection: after a time without traffic sends a ping, then closes the connection. */
  private watch(): void {
    if (this.reason || this.kind !== "socket") return;
    const silent = monotonic() - this.receivedAt;
    if (silent < this.heartbeatMs) {
      this.timer = setTimeout(() => this.watch(), this.heartbeatMs - silent);
    } else this.ping(this.heartbeatMs);
  }

  /** Finds out soon whether the connection is alive. */
  doubt(): void {
    if (this.reason) return;
    this.transport?.doubt?.();
    if (this.kind !== "socket" || monotonic() - this.receivedAt < 1000) return;
    if (!this.isGreeted) {
      // Nothing can be sent yet: the handshake gets less time, once.
      if (this.isDoubted) return;
      this.isDoubted = true;
      const left = this.receivedAt + CONNECT_TIMEOUT_MS - monotonic();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.close(), Math.min(left, DOUBT_MS));
    } else if (this.pingEndsAt > monotonic() + DOUBT_MS) {
      clearTimeout(this.timer);
      this.ping(DOUBT_MS);
    }
  }

  private ping(patienceMs: number): void {
    this.pingEndsAt = monotonic() + patienceMs;
    this.timer = setTimeout(() => this.close(), patienceMs);
    this.call({ t: "ping", ts: 0 }).then(
      () => this.again(),
      (error) => error instanceof Refused && this.again(),
    );
  }

  private again(): void {
    this.pingEndsAt = Infinity;
    clearTimeout(this.timer);
    this.watch();
  }
}

/** The length of a text as UTF-8. */
export function bytesOf(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7ff) bytes += 2;
    else if (code > 0x7f) bytes += 1;
    // Both halves of a pair together have four bytes.
    if (code >= 0xd800 && code <= 0xdbff) bytes -= 2;
  }
  return bytes;
}
