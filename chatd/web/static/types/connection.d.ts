import type { CatchUp } from "./catch-up.js";
import { Ended } from "./errors.js";
import { Link, type LinkEvents } from "./link.js";
import type { Network } from "./network.js";
import { type Rest } from "./rest.js";
import { Backoff } from "./time.js";
import type { Tokens } from "./tokens.js";
import type { Handlers, Transport, TransportKind } from "./transport.js";
import type { Connected } from "./wire.js";
/** `live`: events arrive when they happen. `polling`: with a delay, because the network lets nothing else through.
 * `reconnecting`: the client is about to connect. `offline`: it is not, see `error`, or the device has no network. */
export type ConnectionState = "live" | "polling" | "reconnecting" | "offline";
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
export declare class Connection {
    private readonly tokens;
    private readonly rest;
    private readonly network;
    private readonly dialing;
    private readonly catchUp;
    private readonly events;
    state: ConnectionState;
    error: Error | undefined;
    link: Link | undefined;
    readonly backoff: Backoff;
    private current;
    private kind;
    private failures;
    private running;
    /** A socket that is tried while a worse transport is in use. */
    private probe;
    private isHurried;
    private readonly sleep;
    private mayWake;
    private retrySocketAt;
    private waiters;
    private forget;
    constructor(tokens: Tokens, rest: Rest, network: Network, dialing: Dialing, catchUp: CatchUp, events: ConnectionEvents);
    /** The transport of the present connection. */
    get transport(): TransportKind | undefined;
    /** The link, as soon as there is one that has its states. Throws Ended. */
    up(): Promise<Link>;
    start(): void;
    stop(error?: Ended): void;
    /** `life` ends with the run; another one may have begun then. */
    private run;
    /** Returns why the connection has ended. */
    private oneConnection;
    /** Syncs, then allows commands. If the connection ends before that, both are repeated. */
    private use;
    private linkUp;
    private linkDown;
    private become;
    /** The delay that the server has requested, in milliseconds. Throws Ended if it does not want the client back. */
    private afterClose;
    /** A browser does not tell why a handshake has failed: the same token over HTTP shows it. Throws what it shows. */
    private afterHandshake;
    private afterRefusal;
    /** HTTP works, and this transport does not. */
    private failed;
    /** Tries a WebSocket from time to time while a worse transport is in use. */
    private returnToSocket;
    private trySocket;
    private opensSocket;
    private networkChanged;
    /** Sends the server a fresh token before the old one expires. */
    renew(): Promise<void>;
}
