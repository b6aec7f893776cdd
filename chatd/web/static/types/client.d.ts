import { type ConnectionState } from "./connection.js";
import { ConversationHandle } from "./conversation.js";
import { Match } from "./match.js";
import { type Network } from "./network.js";
import { type OutboxEntry, type SendFields } from "./outbox.js";
import { type Readable } from "./readable.js";
import { type Fetch } from "./rest.js";
import { type KeyValueStorage, type StorageState } from "./storage.js";
import { type TokenProvider } from "./tokens.js";
import { type TransportKind, type WebSocketConstructor } from "./transport.js";
import { type UploadOptions } from "./upload.js";
import type { ConversationList } from "./views.js";
import type { Arguments, ChatEvent, CommandName, Connected, EventName, EventOf, FieldsOf, MessageAck, PresenceState, Result, UnansweredName, Upload, User } from "./wire.js";
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
export declare class ChatClient {
    private readonly options;
    readonly status: Readable<Status>;
    readonly conversations: Readable<ConversationList> & {
        more(): Promise<void>;
    };
    readonly match: Match;
    readonly outbox: Readable<readonly OutboxEntry[]> & {
        put(fields: SendFields, local?: unknown): Promise<MessageAck>;
        retry(clientId: string): void;
        discard(clientId: string): void;
    };
    private readonly clock;
    private readonly timeline;
    private readonly tokens;
    private readonly rest;
    private readonly storage;
    private readonly queue;
    private readonly cache;
    private readonly store;
    private readonly presenceOf;
    private readonly users;
    private readonly missed;
    private readonly connection;
    private readonly handles;
    private readonly listeners;
    private readonly statusCell;
    private readonly network;
    private readonly sockets;
    private socketUrl;
    private hello;
    private maintenance;
    private isActive;
    constructor(options: ChatOptions);
    /** Connects, and stays connected until `stop`. */
    start(): this;
    /** Disconnects. Unsent messages stay in the storage. */
    stop(): Promise<void>;
    /** Ends this login, or all logins of the user, removes the stored conversations, and stops. */
    logout(everywhere?: boolean): Promise<void>;
    /** Waits until commands can be sent. Throws Ended. */
    connected(): Promise<void>;
    /** The user of this client; empty before the first connection. */
    get user(): string;
    /** The id of this user in a conversation, as in `sender` of own messages: the alias in a match, else the user id. */
    knownAs(conversation: string): string;
    /** The limits of the server, and more; undefined before the first connection. */
    get session(): Connected | undefined;
    /** The server's time in milliseconds since 1970, whatever the clock of the device shows. */
    now(): number;
    /** How far the clock of the device is ahead of the server, in milliseconds. */
    get deviceClockAhead(): number;
    private makeStatus;
    private dialing;
    private dial;
    private findSocket;
    private openOutbox;
    private onHello;
    private onState;
    /** Users who do not look at the app are away. New sessions are online. */
    private showPresence;
    /** Sends a command, as soon as there is a connection, and returns the answer. Throws Refused; Disconnected if the
     * outcome is unknown. A query is repeated until it is answered. */
    call<Name extends CommandName>(name: Name, ...[fields]: Arguments<FieldsOf<Name>>): Promise<Result<Name>>;
    /** Sends a command that may be repeated, until it is answered or refused for good. */
    ask<Name extends CommandName>(name: Name, fields: FieldsOf<Name>): Promise<Result<Name>>;
    private send;
    /** Sends a command without an answer. A refusal is the event `error`. Throws Ended, Disconnected. */
    notify<Name extends UnansweredName>(name: Name, fields: FieldsOf<Name>): Promise<void>;
    /** A file for `attachments`: its `id` is the `upload` there. Throws Refused, Disconnected. */
    upload(file: Blob, options?: UploadOptions): Promise<Upload>;
    conversation(id: string): ConversationHandle;
    /** Opens the direct conversation with a user. */
    open(user: string): Promise<ConversationHandle>;
    /** Creates a group. */
    create(title: string, members: string[]): Promise<ConversationHandle>;
    /** The presence of a user, kept up to date while it has subscribers: of the last hundred users. */
    presence(user: string): Readable<PresenceState>;
    /** The profile of a user; null until it is loaded. */
    profile(user: string): Readable<User | null>;
    /** Calls `listener` for each event of this name, or with "*" for all. Each message comes once, in its order. */
    on<Name extends EventName>(name: Name, listener: (event: EventOf<Name>) => void): () => void;
    on(name: "*", listener: (event: ChatEvent) => void): () => void;
    private onEvent;
    private onAnswer;
    private emit;
    /** Whether this client has sent the message: its ack contains everything that the event contains. */
    private isOwnSend;
    private publish;
    private check;
}
/** A client that connects. */
export declare function connect(options: ChatOptions): ChatClient;
