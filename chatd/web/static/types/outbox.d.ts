import type { Locks } from "./locks.js";
import type { SafeStorage } from "./storage.js";
import { type Readable } from "./readable.js";
import type { Lifetime } from "./lifetime.js";
import type { FieldsOf, MessageAck, RefusalCode } from "./wire.js";
export type SendFields = FieldsOf<"message.send">;
export interface OutboxEntry {
    readonly fields: SendFields;
    /** The server's time when it was written, in milliseconds. */
    readonly created_at: number;
    readonly state: "queued" | "failed";
    readonly error?: {
        code: RefusalCode;
        message: string;
    };
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
export declare class Outbox {
    private readonly storage;
    private readonly locks;
    private readonly events;
    private readonly life;
    /** All messages that wait or have failed, in their order. */
    readonly entries: Readable<readonly OutboxEntry[]>;
    private readonly cell;
    private readonly sendings;
    private readonly sent;
    private readonly pumping;
    /** Ends the locks of now. */
    private releases;
    private owner;
    private readonly known;
    private prefix;
    private lastOrder;
    private writes;
    private opening;
    /** Counts the starts. */
    private run;
    private stopped;
    constructor(storage: SafeStorage, locks: Locks, events: OutboxEvents, life: Lifetime);
    of(conversation: string): OutboxEntry[];
    /** Whether this client has sent the message: its ack contains everything that the event contains. */
    hasSent(clientId: string): boolean;
    note(clientId: string): void;
    /** Adds a message. Returns its ack, which may be ignored. */
    put(fields: SendFields, createdAt: number, local?: unknown): Promise<MessageAck>;
    private add;
    /** Sends a failed message again, in its place. */
    retry(clientId: string): void;
    /** Drops a message. One that is on its way may arrive nevertheless. */
    discard(clientId: string): void;
    private inOrder;
    private touch;
    private update;
    private remove;
    private pump;
    /** Sends the message once. Throws Ended, Disconnected, and Refused if it may be repeated. */
    private deliver;
    private fail;
    /** Sends nothing until `resume`: the server has rejected the account. */
    private pause;
    resume(): void;
    /** Keeps messages under this name from now on, and takes over those that closed tabs have left. Call it before each
     * connection. */
    open(account: string): Promise<void>;
    private openAs;
    /** Takes over from all owners: those that have left something, and those that live. */
    private inheritAll;
    /** Takes over the messages of an owner that has ended, now or when it ends. */
    private inherit;
    private lock;
    private takeOver;
    private save;
    /** One write after the other. */
    private write;
    /** Ends sending, and leaves what is kept to a later client. */
    stop(): Promise<void>;
}
