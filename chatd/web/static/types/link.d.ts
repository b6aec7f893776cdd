import type { Close, Handlers, Transport } from "./transport.js";
import type { Body, Connected } from "./wire.js";
export interface LinkEvents {
    event(body: Body): void;
    /** Called for each answer, in the order of the frames, before the caller that waits for it. */
    answer(command: Body, reply: Body): void;
}
export declare class Link implements Handlers {
    private readonly events;
    /** The first frame. */
    readonly hello: Promise<Connected>;
    /** The reason, once it has ended. */
    readonly closing: Promise<Close>;
    reason: Close | undefined;
    private transport;
    private readonly waiting;
    private isGreeted;
    private isDoubted;
    /** When the connection ends unless a ping is answered. */
    private pingEndsAt;
    private lastId;
    private receivedAt;
    private heartbeatMs;
    private maxBytes;
    private timer;
    private greet;
    private fail;
    private finish;
    constructor(events: LinkEvents, open: (handlers: Handlers) => Transport);
    get kind(): Transport["kind"] | undefined;
    get isOpen(): boolean;
    alive(): void;
    frame(id: number, body: Body): void;
    private opened;
    private answered;
    lost(id: number): void;
    closed(close: Close): void;
    /** Closes this connection; the client then opens another one. */
    close(): void;
    /** Sends a command and waits for its answer. Throws Refused, Disconnected. */
    call(command: Body): Promise<Body>;
    /** Sends a command without waiting for an answer. Throws Refused for one that is too large, Disconnected. */
    notify(command: Body): void;
    private send;
    /** Detects a dead connection: after a time without traffic sends a ping, then closes the connection. */
    private watch;
    /** Finds out soon whether the connection is alive. */
    doubt(): void;
    private ping;
    private again;
}
/** The length of a text as UTF-8. */
export declare function bytesOf(text: string): number;
