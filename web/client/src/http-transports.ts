// Where WebSockets are blocked: events from GET /v1/events, as a stream or by long polling, and commands over REST.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
import { Disconnected, Refused } from "./errors.js";
import { aborting, sleep } from "./lifetime.js";
import { refusedBy, type Read, type Rest } from "./rest.js";
import { ROUTES } from "./routes.js";
import { monotonic } from "./time.js";
import type { Handlers, Transport } from "./transport.js";
import type { Body } from "./wire.js";

/** A long poll without an event; shorter than the timeouts of common proxies. */
const WAIT_S = 25;
const ANSWER_MS = 15_000;
/** Before the session is given up, a request that broke off is repeated, with its position. */
const REPEAT_MS = 1_000;
/** What has arrived, or was asked for, so recently is not doubted. */
const DOUBT_AFTER_MS = 1_000;
/** A response that has lasted so long was none that fails. */
const STEADY_MS = 10_000;

abstract class HttpTransport implements Transport {
  abstract readonly kind: "sse" | "poll";
  protected after: string | undefined;
  protected heartbeatMs = 25_000;
  private arrivedAt = monotonic();
  private session = "";
  private isOver = false;
  private opened = false;
  private abort = new AbortController();
  /** Ends with the session. */
  private readonly over = new AbortController();
  private isDoubted = false;
  /** Commands that change something are sent one after the other, as on a WebSocket. */
  private lastCommand: Promise<void> = Promise.resolve();

  constructor(
    protected readonly rest: Rest,
    private readonly handlers: Handlers,
  ) {
    void this.run();
  }

  /** One request for events, until it ends. Throws Refused; any other error is one of the connection. */
  protected abstract receive(signal: AbortSignal): Promise<void>;

  private async run(): Promise<void> {
    for (let failures = 0; !this.isOver && failures < 2; ) {
      const before = this.after;
      const began = (this.arrivedAt = monotonic());
      this.abort = new AbortController();
      this.isDoubted = false;
      try {
        await this.receive(this.abort.signal);
        failures = 0;
      } catch (error) {
        if (error instanceof Refused) return this.end(1006, reasonOf(error), error);
        if (this.isDoubted) continue;
        failures = this.after === before && monotonic() - began < STEADY_MS ? failures + 1 : 1;
        if (this.after === undefined) break;
        await this.pause();
      }
    }
    this.end(1006, "");
  }

  /** Between two requests that follow each other too fast. */
  protected pause(): Promise<void> {
    return sleep(REPEAT_MS * (0.5 + Math.random() / 2), this.over.signal);
  }

  protected take(frame: [number, Body]): void {
    if (this.isOver) return;
    const body = frame[1];
    if (body.t === "connected") {
      this.session = body.session;
      this.heartbeatMs = body.heartbeat * 1000;
      this.opened = true;
    }
    this.arrivedAt = monotonic();
    this.handlers.alive();
    if (body.t === "closed") this.end(body.code, body.reason);
    else this.handlers.frame(0, body);
  }

  /** Reads the response to a request for events. Throws Refused, Disconnected. */
  protected ask(query: string, signal: AbortSignal, timeoutMs: number, read: Read<void>): Promise<void> {
    const after = this.after === undefined ? "" : `${query ? "&" : ""}after=${encodeURIComponent(this.after)}`;
    const path = `/v1/events${query || after ? `?${query}${after}` : ""}`;
    const taken: Read<void> = async (response, expect) => {
      if (response.ok) return read(response, expect);
      throw refusedBy(response, await response.json().catch(() => undefined));
    };
    return this.rest.request(path, { signal }, taken, timeoutMs);
  }

  send(id: number, body: Body): void {
    if (ROUTES[body.t]?.startsWith("GET ")) void this.command(id, body);
    else this.lastCommand = this.lastCommand.then(() => this.command(id, body));
  }

  private async command(id: number, body: Body): Promise<void> {
    if (this.isOver) return;
    try {
      const answer = await this.rest.command(body, this.session);
      if (id) this.handlers.frame(id, answer);
    } catch (error) {
      if (!(error instanceof Refused)) return this.handlers.lost(id);
      const { code, message, retryable, retryAfter, details } = error;
      const refused: Body = { t: "error", code, message, retryable };
      if (retryAfter !== undefined) refused.retry_after = retryAfter;
      if (details) refused.details = details;
      if (!id) refused.command = body.t;
      this.handlers.frame(id, refused);
    }
  }

  private end(code: number, reason: string, refused?: Refused): void {
    if (this.isOver) return;
    this.isOver = true;
    this.abort.abort();
    this.over.abort();
    const close = { code, reason, opened: this.opened };
    this.handlers.closed(refused ? { ...close, refused } : close);
  }

  close(): void {
    this.end(1000, "");
  }

  /** The network may have changed: what is open is asked for again, with the position. */
  doubt(): void {
    if (!this.opened || this.isDoubted || monotonic() - this.arrivedAt < DOUBT_AFTER_MS) return;
    this.isDoubted = true;
    this.abort.abort();
  }
}

function reasonOf(error: Refused): string {
  return error.retryAfter === undefined ? "" : `retry_in_ms=${Math.round(error.retryAfter * 1000)}`;
}

/** Server-Sent Events, read with fetch, because EventSource sends no headers. */
export class EventStream extends HttpTransport {
  readonly kind = "sse";

  protected override receive(signal: AbortSignal): Promise<void> {
    return this.ask("", signal, ANSWER_MS, async (response, expect) => {
      const reader = response.body?.getReader?.();
      // React Native has no streams in fetch.
      if (!reader) throw new Disconnected("this platform has no streams");
      const decoder = new TextDecoder();
      let text = "";
      for (;;) {
        expect(2 * this.heartbeatMs);
        const { done, value } = await aborting(reader.read(), signal);
        if (done) throw new Disconnected("the stream has ended");
        text += decoder.decode(value, { stream: true });
        const blocks = text.split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) this.block(block);
      }
    });
  }

  private block(block: string): void {
    let data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("id:")) this.after = line.slice(3).trim();
      if (line.startsWith("data:")) data += line.slice(5);
    }
    if (data) this.take(JSON.parse(data) as [number, Body]);
  }
}

export class LongPoll extends HttpTransport {
  readonly kind = "poll";

  protected override async receive(signal: AbortSignal): Promise<void> {
    const wait = this.after === undefined ? 0 : WAIT_S;
    const began = monotonic();
    let isEmpty = true;
    await this.ask(`wait=${wait}`, signal, wait * 1000 + ANSWER_MS, async (response) => {
      const frames = (await response.json()) as [number, Body][];
      const position = response.headers.get("Chatd-Position");
      if (position === null) throw new Refused("unknown_command", "there is no Chatd-Position; a proxy may hide it");
      this.after = position;
      isEmpty = !frames.length;
      for (const frame of frames) this.take(frame);
    });
    // Something in between answers at once, and would be asked again at once.
    if (isEmpty && monotonic() - began < REPEAT_MS) await this.pause();
  }
}
