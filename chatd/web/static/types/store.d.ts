import { ConversationState, type Surroundings } from "./conversation-state.js";
import type { Lifetime } from "./lifetime.js";
import type { Outbox, OutboxEntry } from "./outbox.js";
import { type Readable } from "./readable.js";
import type { ServerClock } from "./time.js";
import type { Timeline } from "./timeline.js";
import type { ConversationList } from "./views.js";
import type { Body, CommandName, Conversation, FieldsOf, MessageAck, Result } from "./wire.js";
/** A query that is repeated until it is answered, or refused. */
export type Ask = <Name extends CommandName>(name: Name, fields: FieldsOf<Name>) => Promise<Result<Name>>;
export declare class Store implements Surroundings {
    private readonly timeline;
    private readonly outbox;
    private readonly clock;
    private readonly ask;
    /** Reports what has been received; undefined if the app does that itself. */
    private readonly deliver;
    private readonly life;
    /** Called for each conversation that has changed. */
    private readonly changed;
    readonly list: Readable<ConversationList>;
    private readonly listCell;
    private readonly states;
    private cursor;
    private page;
    private readonly wanted;
    private fetching;
    private readonly received;
    private timer;
    constructor(timeline: Timeline, outbox: () => Outbox, clock: ServerClock, ask: Ask, 
    /** Reports what has been received; undefined if the app does that itself. */
    deliver: ((conversation: string, seq: number) => void) | undefined, life: Lifetime, 
    /** Called for each conversation that has changed. */
    changed: (conversation: string) => void);
    isOwn(conversation: string, user: string): boolean;
    me(conversation: string): string;
    waiting(conversation: string): OutboxEntry[];
    now(): number;
    listed(state: ConversationState): void;
    watched(state: ConversationState, on: boolean): void;
    get(id: string): ConversationState;
    all(): Iterable<ConversationState>;
    take(conversation: Partial<Conversation> & {
        id: string;
    }): void;
    /** The states of session.sync. */
    takeStates(session: Body): void;
    /** The list is shown for the first time, or again after an absence. */
    connected(): void;
    /** Loads the next page of the list. */
    more(): Promise<void>;
    private loadPage;
    private makeList;
    /** An event of the timeline. */
    takeEvent(event: Body): void;
    /** After a reaction or vote of this user: `mine` and `voted` are in answers only. */
    private marks;
    private updated;
    private restart;
    acked(entry: OutboxEntry, ack: MessageAck): void;
    /** Fetches a conversation that the list does not have yet; one at a time, because there may be thousands. */
    fetch(id: string): void;
    private fetchWanted;
    /** The list has what is wanted: conversations with events are the most recent ones. Those behind its first page come
     * with later pages, or when the app looks at them. */
    private fetchMany;
    /** Returns whether the server has answered. */
    private fetchOne;
    refetch(state: ConversationState, seq: number): Promise<void>;
    /** The latest messages, if they are not there; and the conversation itself. */
    loadLatest(state: ConversationState): Promise<void>;
    /** A page of messages before those that are known. */
    loadOlder(state: ConversationState): Promise<void>;
    private noteReceived;
    private reportReceived;
    stop(): void;
}
