// The client: one object that stays connected, misses no event, and sends each message once.
import { defaultFetch, pageOrigin } from "./account.js";
import { Cache } from "./cache.js";
import { CatchUp } from "./catch-up.js";
import { Connection, type ConnectionState, type Dialing } from "./connection.js";
import { ConversationHandle } from "./conversation.js";
import { Disconnected, Ended, Refused } from "./errors.js";
import type { Link } from "./link.js";
import { EventStream, LongPoll } from "./http-transports.js";
import { defaultLocks } from "./locks.js";
import { Match } from "./match.js";
import { defaultNetwork, type Network } from "./network.js";
import { Outbox, type OutboxEntry, type OutboxEvents, type SendFields } from "./outbox.js";
import { Presence, Users } from "./people.js";
import { call, Cell, type Readable } from "./readable.js";
import { Rest, type Fetch } from "./rest.js";
import { ROUTES } from "./routes.js";
import { defaultStorage, SafeStorage, type KeyValueStorage, type StorageState } from "./storage.js";
import { Store } from "./store.js";
import { Backoff, monotonic, ServerClock } from "./time.js";
import { Timeline } from "./timeline.js";
import { claimsOf, Tokens, type TokenProvider } from "./tokens.js";
import {
  openSocket,
  type Handlers,
  type Transport,
  type TransportKind,
  type WebSocketConstructor,
} from "./transport.js";
import { upload, type UploadOptions } from "./upload.js";
import type { ConversationList } from "./views.js";
import type {
  Arguments,
  Body,
  ChatEvent,
  CommandName,
  Connected,
  ConversationResult,
  EventName,
  EventOf,
  FieldsOf,
  MessageAck,
  PresenceState,
  Result,
  UnansweredName,
  Upload,
  User,
} from "./wire.js";

export interface ChatOptions {
  token: TokenProvider;
  /** The HTTP address of the server. On a page of the server itself, it may be left out. */
  url?: string;
  /** The address of the WebSocket. By default the server is asked for it. */
  socket?: string;
  /** Where unsent messages are kept: by default IndexedDB, else memory. */
  storage?: KeyValueStorage;
  /** The name under which they are kept, one for each account. By default the user of the first token. */
  account?: string;
  /** False: conversations and messages are not stored. By default the latest ones are, for a start without a network. */
  cache?: boolean;
  network?: Network;
  /** For platforms without a global one, such as Node 20: that of the package `ws`. */
  WebSocket?: WebSocketConstructor;
  fetch?: Fetch;
  /** What is tried, in this order. */
  transports?: readonly TransportKind[];
  /** False: the app reports itself what has been delivered. */
  reportDelivered?: boolean;
}

export interface Status {
  state: ConnectionState;
  /** How events arrive; null without a connection. */
  transport: TransportKind | null;
  /** Something was missed and is being fetched. */
  syncing: boolean;
  storage: StorageState;
  /** Why the storage keeps nothing. */
  storageError?: string;
  /** Why the client has ended: Ended. Call `start` after the user has signed in again. */
  error?: Error;
  /** The server pauses some functions, or is about to stop. */
  maintenance: boolean;
}

type Listener = (event: never) => void;
/** Ends after which nothing of the user stays on the device, but unsent messages. */
const ERASES = new Set(["logged_out", "banned", "another_user"]);
const MAX_ATTEMPTS = 5;
const FIRST_RETRY_MS = 100;
const ACKS = new Set(["message.ack", "message.forwarded", "poll.ack"]);
/** Commands that end the match of the user. The connection that sent one gets no `match.ended`. */
const ENDS_MATCH = new Set(["match.leave", "match.skip"]);

export class ChatClient {
  readonly status: Readable<Status>;
  readonly conversations: Readable<ConversationList> & { more(): Promise<void> };
  readonly match: Match;
  readonly outbox: Readable<readonly OutboxEntry[]> & {
    put(fields: SendFields, local?: unknown): Promise<MessageAck>;
    retry(clientId: string): void;
    discard(clientId: string): void;
  };
  private readonly clock = new ServerClock();
  private readonly timeline = new Timeline();
  private readonly tokens: Tokens;
  private readonly rest: Rest;
  private readonly storage: SafeStorage;
  private readonly queue: Outbox;
  private readonly cache: Cache | undefined;
  private readonly store: Store;
  private readonly presenceOf: Presence;
  private readonly users: Users;
  private readonly missed: CatchUp;
  private readonly connection: Connection;
  private readonly handles = new Map<string, ConversationHandle>();
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly statusCell = new Cell<Status>(() => this.makeStatus());
  private readonly network: Network;
  private readonly sockets: WebSocketConstructor | undefined;
  private socketUrl: string | undefined;
  private hello: Connected | undefined;
  private maintenance = false;
  private isActive = true;

  constructor(private readonly options: ChatOptions) {
    this.tokens = new Tokens(options.token);
    this.rest = new Rest((options.url ?? pageOrigin()).replace(/\/+$/, ""), options.fetch ?? defaultFetch(), this.tokens);
    this.network = options.network ?? defaultNetwork();
    this.sockets = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
    const platform = options.storage ?? defaultStorage();
    this.storage = new SafeStorage(platform, () => this.statusCell.invalidate());
    this.missed = new CatchUp(
      this.timeline,
      (events) => this.emit(events),
      (states) => this.store.takeStates(states),
      this.rest.life,
      (states) => this.cache?.compare(states) ?? [],
    );
    const events = {
      event: (body: Body) => this.onEvent(body),
      answer: (command: Body, reply: Body) => this.onAnswer(command, reply),
      state: () => this.onState(),
      network: () => this.showPresence(),
      hello: (hello: Connected, tripMs: number) => this.onHello(hello, tripMs),
      prepare: (token: string) => this.openOutbox(token),
    };
    this.connection = new Connection(this.tokens, this.rest, this.network, this.dialing(), this.missed, events);
    const sending: OutboxEvents = {
      ready: () => this.connection.up(),
      deliver: (fields) => this.send("message.send", fields),
      changed: (conversation) => this.store.get(conversation).changed(),
      acked: (entry, ack) => this.store.acked(entry, ack),
    };
    this.queue = new Outbox(this.storage, defaultLocks(), sending, this.rest.life);
    const receipts = (conversation: string, seq: number): void =>
      this.notifyIfConnected("receipt.delivered", { conversation, seq });
    const ask = this.ask.bind(this);
    const touched = (conversation: string): void => this.cache?.touch(conversation);
    const reported = options.reportDelivered === false ? undefined : receipts;
    this.store = new Store(this.timeline, () => this.queue, this.clock, ask, reported, this.rest.life, touched);
    if (options.cache !== false) this.cache = new Cache(platform, this.timeline, (id) => this.store.get(id));
    const isConnected = (): boolean => this.connection.link !== undefined;
    this.presenceOf = new Presence(ask, isConnected);
    this.users = new Users(ask, isConnected);
    this.match = new Match((name, fields) => this.send(name, fields));
    this.status = this.statusCell;
    this.conversations = {
      get: this.store.list.get,
      subscribe: this.store.list.subscribe,
      more: () => this.store.more(),
    };
    this.outbox = {
      get: this.queue.entries.get,
      subscribe: this.queue.entries.subscribe,
      put: (fields, local) => this.queue.put(fields, this.clock.now(), local),
      retry: (clientId) => this.queue.retry(clientId),
      discard: (clientId) => this.queue.discard(clientId),
    };
  }

  // --- the connection -------------------------------------------------------------------------------------------------

  /** Connects, and stays connected until `stop`. */
  start(): this {
    // Without a network there may be no token, which names the account.
    if (this.options.account !== undefined) void this.cache?.open(this.options.account);
    this.connection.start();
    this.queue.resume();
    return this;
  }

  /** Disconnects. Unsent messages stay in the storage. */
  async stop(): Promise<void> {
    this.connection.stop();
    for (const handle of this.handles.values()) handle.stop();
    this.store.stop();
    this.presenceOf.stop();
    this.users.stop();
    await Promise.all([this.queue.stop(), this.cache?.stop()]);
  }

  /** Ends this login, or all logins of the user, removes the stored conversations, and stops. */
  async logout(everywhere = false): Promise<void> {
    try {
      await this.ask("auth.logout", { everywhere });
    } catch (error) {
      // The end of the login may arrive before the answer.
      if (!(error instanceof Ended)) throw error;
    }
    await this.cache?.erase();
    await this.stop();
  }

  /** Waits until commands can be sent. Throws Ended. */
  async connected(): Promise<void> {
    await this.connection.up();
  }

  /** The user of this client; empty before the first connection. */
  get user(): string {
    return this.hello?.user ?? "";
  }

  /** The id of this user in a conversation, as in `sender` of own messages: the alias in a match, else the user id. */
  knownAs(conversation: string): string {
    return this.timeline.knownAs(conversation);
  }

  /** The limits of the server, and more; undefined before the first connection. */
  get session(): Connected | undefined {
    return this.hello;
  }

  /** The server's time in milliseconds since 1970, whatever the clock of the device shows. */
  now(): number {
    return this.clock.now();
  }

  /** How far the clock of the device is ahead of the server, in milliseconds. */
  get deviceClockAhead(): number {
    return this.clock.deviceAhead;
  }

  private makeStatus(): Status {
    const { state, error, transport } = this.connection;
    return {
      state,
      transport: transport ?? null,
      syncing: state !== "offline" && (!transport || this.timeline.behind.size > 0),
      storage: this.storage.state,
      ...(this.storage.error === undefined ? {} : { storageError: this.storage.error }),
      ...(state === "offline" && error ? { error } : {}),
      maintenance: this.maintenance,
    };
  }

  private dialing(): Dialing {
    const kinds = this.options.transports ?? ["socket", "sse", "poll"];
    return {
      kinds: kinds.filter((kind) => kind !== "socket" || this.sockets),
      open: (kind, token, handlers) => this.dial(kind, token, handlers),
      reset: () => (this.socketUrl = undefined),
      prepare: async (kind) => {
        if (kind === "socket") this.socketUrl ??= this.options.socket ?? (await this.findSocket());
      },
    };
  }

  private dial(kind: TransportKind, token: string, handlers: Handlers): Transport {
    if (kind === "sse") return new EventStream(this.rest, handlers);
    if (kind === "poll") return new LongPoll(this.rest, handlers);
    if (!this.sockets) throw new TypeError("there is no WebSocket here: name its constructor");
    return openSocket(this.sockets, this.socketUrl ?? "", token, handlers);
  }

  private async findSocket(): Promise<string> {
    const { url } = await this.rest.open("/v1/socket/ping", {}, async (response) => {
      return (await response.json().catch(() => ({}))) as { url?: string };
    });
    if (url === undefined) throw new Disconnected("the server does not name its WebSocket");
    return url;
  }

  private async openOutbox(token: string): Promise<void> {
    const { tid = "default", sub = "" } = claimsOf(token);
    const account = this.options.account ?? `${tid}/${sub}`;
    await Promise.all([this.queue.open(account), this.cache?.open(account)]);
  }

  private onHello(hello: Connected, tripMs: number): void {
    if ((this.timeline.user || hello.user) !== hello.user)
      throw new Ended("another_user", "a client is for one user: make another one for another user");
    this.hello = hello;
    this.maintenance = hello.maintenance;
    this.clock.set(hello.server_time, tripMs);
    this.timeline.user = hello.user;
    this.timeline.connected();
    this.isActive = true;
  }

  private onState(): void {
    this.statusCell.invalidate();
    const { state, error } = this.connection;
    if (state === "offline" && error instanceof Ended && ERASES.has(error.code)) void this.cache?.erase();
    if (this.connection.link) {
      this.store.connected();
      this.presenceOf.connected();
      this.users.connected();
      this.showPresence();
      this.match.connected().catch(() => {});
    }
  }

  /** Users who do not look at the app are away. New sessions are online. */
  private showPresence(): void {
    const isActive = this.network.isVisible();
    if (isActive === this.isActive || !this.connection.link) return;
    this.isActive = isActive;
    this.notifyIfConnected("presence.set", { status: isActive ? "online" : "away" });
  }

  // --- commands -------------------------------------------------------------------------------------------------------

  /** Sends a command, as soon as there is a connection, and returns the answer. Throws Refused; Disconnected if the
   * outcome is unknown. A query is repeated until it is answered. */
  call<Name extends CommandName>(name: Name, ...[fields]: Arguments<FieldsOf<Name>>): Promise<Result<Name>> {
    const given = (fields ?? {}) as FieldsOf<Name>;
    return ROUTES[name]?.startsWith("GET ") ? this.ask(name, given) : this.send(name, given);
  }

  /** Sends a command that may be repeated, until it is answered or refused for good. */
  async ask<Name extends CommandName>(name: Name, fields: FieldsOf<Name>): Promise<Result<Name>> {
    const backoff = new Backoff(Math.random, FIRST_RETRY_MS);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.send(name, fields);
      } catch (error) {
        if (error instanceof Refused && error.retryable && attempt < MAX_ATTEMPTS)
          await this.rest.life.sleep((error.retryAfter ?? attempt) * 1000);
        else if (!(error instanceof Disconnected)) throw error;
        // Over HTTP the connection may be there, and each command fail at once.
        else await this.rest.life.sleep(backoff.next(monotonic()));
      }
    }
  }

  private async send<Name extends CommandName>(name: Name, fields: FieldsOf<Name>): Promise<Result<Name>> {
    const link: Link = await this.connection.up();
    return (await link.call({ t: name, ...fields })) as unknown as Result<Name>;
  }

  /** Sends a command without an answer. A refusal is the event `error`. Throws Ended, Disconnected. */
  async notify<Name extends UnansweredName>(name: Name, fields: FieldsOf<Name>): Promise<void> {
    const link = await this.connection.up();
    link.notify({ t: name, ...fields });
  }

  /** The same, of something that has no meaning later. @internal */
  notifyIfConnected<Name extends UnansweredName>(name: Name, fields: FieldsOf<Name>): void {
    try {
      this.connection.link?.notify({ t: name, ...fields });
    } catch {
      // The connection is about to end.
    }
  }

  /** A file for `attachments`: its `id` is the `upload` there. Throws Refused, Disconnected. */
  upload(file: Blob, options: UploadOptions = {}): Promise<Upload> {
    return upload(this.rest, this.tokens, file, options);
  }

  // --- conversations and people ---------------------------------------------------------------------------------------

  conversation(id: string): ConversationHandle {
    let handle = this.handles.get(id);
    if (!handle) this.handles.set(id, (handle = new ConversationHandle(this, this.store, this.store.get(id))));
    return handle;
  }

  /** Opens the direct conversation with a user. */
  async open(user: string): Promise<ConversationHandle> {
    const { conversation } = await this.call("conversation.open", { user });
    return this.conversation(conversation.id);
  }

  /** Creates a group. */
  async create(title: string, members: string[]): Promise<ConversationHandle> {
    const { conversation } = await this.call("conversation.create", { title, members });
    return this.conversation(conversation.id);
  }

  /** The presence of a user, kept up to date while it has subscribers: of the last hundred users. */
  presence(user: string): Readable<PresenceState> {
    return this.presenceOf.of(user);
  }

  /** The profile of a user; null until it is loaded. */
  profile(user: string): Readable<User | null> {
    return this.users.of(user);
  }

  // --- what comes in --------------------------------------------------------------------------------------------------

  /** Calls `listener` for each event of this name, or with "*" for all. Each message comes once, in its order. */
  on<Name extends EventName>(name: Name, listener: (event: EventOf<Name>) => void): () => void;
  on(name: "*", listener: (event: ChatEvent) => void): () => void;
  on(name: string, listener: Listener): () => void {
    const listeners = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, listeners);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  private onEvent(event: Body): void {
    if (event.t === "token.expiring") return void this.connection.renew();
    if (event.t === "maintenance.mode") {
      this.maintenance = event.enabled;
      this.statusCell.invalidate();
    }
    this.emit(this.timeline.take(event));
  }

  private onAnswer(command: Body, reply: Body): void {
    if (reply.conversation?.id !== undefined) {
      this.timeline.noteConversation(reply.conversation);
      this.store.take((reply as unknown as ConversationResult).conversation);
    }
    if (reply.t === "ok" && ENDS_MATCH.has(command.t)) this.timeline.ownBehind = true;
    if (ACKS.has(reply.t)) this.timeline.acked(command.conversation, reply.seq, reply.rev);
    if (reply.t !== "message.ack" && ACKS.has(reply.t)) {
      this.queue.note(reply.client_id);
      void this.store.refetch(this.store.get(command.conversation), reply.seq);
    }
    this.check();
  }

  private emit(events: Body[]): void {
    for (const event of events) {
      this.store.takeEvent(event);
      this.match.take(event);
      if (event.t === "presence.update") this.presenceOf.take(event as unknown as PresenceState);
      if (event.t === "user.updated") this.users.take(event.user);
      if (event.t === "profiles.behind") this.users.behind();
      if (!this.isOwnSend(event)) this.publish(event);
    }
    this.check();
  }

  /** Whether this client has sent the message: its ack contains everything that the event contains. */
  private isOwnSend(event: Body): boolean {
    if (event.t !== "message.new") return false;
    const { sender, client_id } = event.message;
    return this.timeline.isOwn(event.conversation, sender) && this.queue.hasSent(client_id);
  }

  private publish(event: Body): void {
    for (const name of [event.t, "*"])
      for (const listener of [...(this.listeners.get(name) ?? [])]) call(listener as (event: Body) => void, event);
  }

  private check(): void {
    this.missed.check();
    this.statusCell.invalidate();
  }
}

/** A client that connects. */
export function connect(options: ChatOptions): ChatClient {
  return new ChatClient(options).start();
}
