import type { ConversationState } from "./conversation-state.js";
import type { KeyValueStorage } from "./storage.js";
import type { Timeline } from "./timeline.js";
import type { Body } from "./wire.js";
export declare class Cache {
    private readonly storage;
    private readonly timeline;
    private readonly stateOf;
    /** Conversations that come from the storage, and were not compared with the server yet. */
    private readonly restored;
    /** What is stored, with the time of its last activity. */
    private readonly stored;
    private readonly dirty;
    private prefix;
    private timer;
    private writes;
    private isOff;
    constructor(storage: KeyValueStorage, timeline: Timeline, stateOf: (id: string) => ConversationState);
    /** Shows what is stored of this account; the first call only. */
    open(account: string): Promise<void>;
    private show;
    /** Compares with all states of the server. Returns the events of conversations that have ended. */
    compare(states: Body[]): Body[];
    /** A conversation has changed. */
    touch(id: string): void;
    private flush;
    private save;
    private keep;
    private drop;
    /** Removes everything of this account, and keeps nothing until the next client. */
    erase(): Promise<void>;
    stop(): Promise<void>;
}
