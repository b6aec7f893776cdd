import { type Read, type Rest } from "./rest.js";
import type { Handlers, Transport } from "./transport.js";
import type { Body } from "./wire.js";
declare abstract class HttpTransport implements Transport {
    protected readonly rest: Rest;
    private readonly handlers;
    abstract readonly kind: "sse" | "poll";
    protected after: string | undefined;
    protected heartbeatMs: number;
    private arrivedAt;
    private session;
    private isOver;
    private opened;
    private abort;
    /** Ends with the session. */
    private readonly over;
    private isDoubted;
    /** Commands that change something are sent one after the other, as on a WebSocket. */
    private lastCommand;
    constructor(rest: Rest, handlers: Handlers);
    /** One request for events, until it ends. Throws Refused; any other error is one of the connection. */
    protected abstract receive(signal: AbortSignal): Promise<void>;
    private run;
    /** Between two requests that follow each other too fast. */
    protected pause(): Promise<void>;
    protected take(frame: [number, Body]): void;
    /** Reads the response to a request for events. Throws Refused, Disconnected. */
    protected ask(query: string, signal: AbortSignal, timeoutMs: number, read: Read<void>): Promise<void>;
    send(id: number, body: Body): void;
    private command;
    private end;
    close(): void;
    /** The network may have changed: what is open is asked for again, with the position. */
    doubt(): void;
}
/** Server-Sent Events, read with fetch, because EventSource sends no headers. */
export declare class EventStream extends HttpTransport {
    readonly kind = "sse";
    protected receive(signal: AbortSignal): Promise<void>;
    private block;
}
export declare class LongPoll extends HttpTransport {
    readonly kind = "poll";
    protected receive(signal: AbortSignal): Promise<void>;
}
export {};
