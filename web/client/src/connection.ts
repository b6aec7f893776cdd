// Stays connected: opens one connection after the other, over the best transport that works here.
import type { CatchUp } from "./catch-up.js";
import { Disconnected, Ended, Refused } from "./errors.js";
import { Link, type LinkEvents } from "./link.js";
import type { Network } from "./network.js";
import { bodyOf, type Rest } from "./rest.js";
import { Backoff, monotonic, Sleep } from "./time.js";
import type { Tokens } from "./tokens.js";
import type { Close, Handlers, Transport, TransportKind } from "./transport.js";
import type { Body, Connected } from "./wire.js";

/** `live`: events arrive when they happen. `polling`: with a delay, because the network lets nothing else through.
 * `reconnecting`: the client is about to connect. `offline`: it is not, see `error`, or the device has no network. */
export type ConnectionState = "live" | "polling" | "reconnecting" | "offline";

/** Connections of one kind that may fail, while HTTP works, before the next kind is tried. */
const MAX_FAILURES = 2;
/** How long a worse transport is used before a WebSocket is tried again. */
const RETRY_SOCKET_MS = 5 * 60_000;
/** How long a device may say that it is offline before the client tries all the same. */
const OFFLINE_RETRY_MS = 60_000;
const ENDS: Record<number, string> = {
  1009: "too_big",
  4002: "replaced",
  4400: "protocol_error",
  4403: "banned",
  4404: "logged_out",
};
/** Ends of the login: its tokens are of no use any more. */
const ENDS_LOGIN = new Set(["unauthenticated", "banned", "logged_out", "another_user"]);

export interface ConnectionEvents extends LinkEvents {
  state(): void;
  /** The state of the network, or of the page, may have changed. */
  network(): void;
  /** Before the states are fetched. */
  hello(hello: Connected, tripMs: number): void;
  /** Before the first connection, with its token. */
  prepare(token: string): Promise<void>;
}

export interface Dialing {
  kinds: readonly TransportKind[];
  open(kind: TransportKind, token: string, handlers: Handlers): Transport;
  /** Something was wrong with the connection: find the addresses again. */
  reset(): void;
  /** Before a connection is opened. Throws Disconnected. */
  prepare(kind: TransportKind): Promise<void>;
}

export class Connection {
  state: ConnectionState = "offline";
  error: Error | undefined;
  link: Link | undefined;
  readonly backoff = new Backoff();
  private current: Link | undefined;
  private kind = 0;
  private failures = 0;
  private running = false;
  /** A socket that is tried while a worse transport is in use. */
  private probe: Link | undefined;
  private isHurried = false;
  private readonly sleep = new Sleep();
  private mayWake = true;
  private retrySocketAt: number | undefined;
  private waiters: { resolve(link: Link): void; reject(error: Error): void }[] = [];
  private forget = (): void => {};

  constructor(
    private readonly tokens: Tokens,
    private readonly rest: Rest,
    private readonly network: Network,
    private readonly dialing: Dialing,
    private readonly catchUp: CatchUp,
    private readonly events: ConnectionEvents,
  ) {}

  /** The transport of the present connection. */
  get transport(): TransportKind | undefined {
    return this.link?.kind;
  }

  /** The link, as soon as there is one that has its states. Throws Ended. */
  up(): Promise<Link> {
    if (this.link) return Promise.resolve(this.link);
    if (!this.running) return Promise.reject(this.error ?? new Ended("stopped", "the client is not started"));
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.error = undefined;
    this.forget = this.network.subscribe(() => this.networkChanged());
    void this.run(this.rest.life.signal);
  }

  stop(error = new Ended("stopped", "the client was stopped")): void {
    if (!this.running) return;
    this.running = false;
    this.error = error;
    if (ENDS_LOGIN.has(error.code)) this.tokens.forget();
    this.forget();
    this.rest.life.end(error);
    this.current?.close();
    this.probe?.close();
    this.linkDown();
    this.sleep.wake();
    for (const waiter of this.waiters.splice(0)) waiter.reject(error);
    this.become("offline");
  }

  /** `life` ends with the run; another one may have begun then. */
  private async run(life: AbortSignal): Promise<void> {
    while (!life.aborted) {
      let requestedMs: number | undefined;
      this.become(this.network.isOnline() ? "reconnecting" : "offline");
      try {
        requestedMs = await this.afterClose(await this.oneConnection(life), life);
      } catch (error) {
        if (life.aborted) return;
        if (error instanceof Ended) return this.stop(error);
        if (error instanceof Refused && error.retryAfter !== undefined) requestedMs = error.retryAfter * 1000;
      }
      if (life.aborted) return;
      this.become(this.network.isOnline() ? "reconnecting" : "offline");
      const delay = this.isHurried ? 0 : this.backoff.next(monotonic(), requestedMs);
      this.isHurried = false;
      this.mayWake = requestedMs === undefined;
      await this.sleep.for(this.network.isOnline() ? delay : OFFLINE_RETRY_MS);
    }
  }

  /** Returns why the connection has ended. */
  private async oneConnection(life: AbortSignal): Promise<Close & { token: string }> {
    const token = await this.tokens.get();
    if (!life.aborted) await this.events.prepare(token);
    const kind = this.dialing.kinds[this.kind] ?? "socket";
    if (!life.aborted) await this.dialing.prepare(kind);
    if (life.aborted) throw new Disconnected();
    const began = monotonic();
    const link = new Link(this.events, (handlers) => this.dialing.open(kind, token, handlers));
    this.current = link;
    try {
      const hello = await link.hello;
      if (life.aborted) throw new Disconnected();
      this.tokens.accepted();
      this.failures = 0;
      this.backoff.connected(monotonic());
      this.events.hello(hello, monotonic() - began);
      void this.use(link);
    } catch (error) {
      if (!(error instanceof Disconnected)) {
        link.close();
        throw error;
      }
    }
    const close = await link.closing;
    if (life.aborted) throw new Disconnected();
    this.linkDown();
    this.become("reconnecting");
    return { ...close, token };
  }

  /** Syncs, then allows commands. If the connection ends before that, both are repeated. */
  private async use(link: Link): Promise<void> {
    try {
      await this.catchUp.states(link);
      if (!link.isOpen) return;
      this.linkUp(link);
      await this.catchUp.closeGaps(link);
    } catch (error) {
      // Over HTTP a command may be lost while the events go on.
      link.close();
      if (!(error instanceof Refused || error instanceof Disconnected)) throw error;
    }
  }

  private linkUp(link: Link): void {
    this.link = link;
    this.become(link.kind === "poll" ? "polling" : "live");
    for (const waiter of this.waiters.splice(0)) waiter.resolve(link);
    if (link.kind !== "socket" && this.dialing.kinds.includes("socket")) this.returnToSocket(link);
  }

  private linkDown(): void {
    this.link = undefined;
  }

  private become(state: ConnectionState): void {
    if (this.state === state) return;
    this.state = state;
    this.events.state();
  }

  // --- after a failure ------------------------------------------------------------------------------------------------

  /** The delay that the server has requested, in milliseconds. Throws Ended if it does not want the client back. */
  private async afterClose(close: Close & { token: string }, life: AbortSignal): Promise<number | undefined> {
    const { code, reason, opened, token, refused, doubted } = close;
    if (code in ENDS || code >= 4400) throw new Ended(ENDS[code] ?? String(code), reason || "the server has ended this login");
    if (code === 4001) await this.tokens.renew(token);
    else if (!opened && !doubted) await (refused ? this.afterRefusal(token, refused) : this.afterHandshake(token, life));
    const requested = /^retry_in_ms=(\d+)$/.exec(reason);
    return requested ? Number(requested[1]) : undefined;
  }

  /** A browser does not tell why a handshake has failed: the same token over HTTP shows it. Throws what it shows. */
  private async afterHandshake(token: string, life: AbortSignal): Promise<void> {
    this.dialing.reset();
    const headers = { Authorization: `Bearer ${token}` };
    try {
      await this.rest.open("/v1/me", headers, bodyOf);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return this.afterRefusal(token, error);
    }
    if (!life.aborted) this.failed();
  }

  private async afterRefusal(token: string, refused: Refused): Promise<void> {
    if (refused.code === "unauthenticated") return this.tokens.replace(token, refused);
    if (refused.code === "banned") throw new Ended("banned", refused.message);
    if (refused.retryable) throw refused;
    this.failed();
  }

  /** HTTP works, and this transport does not. */
  private failed(): void {
    this.failures += 1;
    if (this.failures < MAX_FAILURES) return;
    this.failures = 0;
    this.kind = (this.kind + 1) % this.dialing.kinds.length;
  }

  /** Tries a WebSocket from time to time while a worse transport is in use. */
  private returnToSocket(present: Link): void {
    this.retrySocketAt ??= monotonic() + RETRY_SOCKET_MS * (0.5 + Math.random());
    const timer = setTimeout(() => void this.trySocket(present), Math.max(0, this.retrySocketAt - monotonic()));
    void present.closing.then(() => clearTimeout(timer));
  }

  private async trySocket(present: Link): Promise<void> {
    this.retrySocketAt = undefined;
    const opens = await this.opensSocket(present);
    if (!present.isOpen) return;
    if (!opens) return this.returnToSocket(present);
    this.kind = this.dialing.kinds.indexOf("socket");
    this.isHurried = true;
    present.close();
  }

  private async opensSocket(present: Link): Promise<boolean> {
    const idle: LinkEvents = { event: () => {}, answer: () => {} };
    try {
      const token = await this.tokens.get();
      await this.dialing.prepare("socket");
      if (!present.isOpen) return false;
      const link = new Link(idle, (handlers) => this.dialing.open("socket", token, handlers));
      this.probe = link;
      await link.hello;
      return true;
    } catch {
      return false;
    } finally {
      this.probe?.close();
      this.probe = undefined;
    }
  }

  // --- the network ----------------------------------------------------------------------------------------------------

  private networkChanged(): void {
    this.events.network();
    this.current?.doubt();
    if (!this.network.isOnline()) {
      if (!this.link) this.become("offline");
    } else if (!this.link && this.mayWake && this.network.isVisible()) this.sleep.wake();
  }

  /** Sends the server a fresh token before the old one expires. */
  async renew(): Promise<void> {
    try {
      const token = await this.tokens.renew(await this.tokens.get());
      await this.link?.call({ t: "auth.refresh", token } satisfies Body);
    } catch {
      // The server closes the connection with 4001, and the client asks once more.
    }
  }
}
