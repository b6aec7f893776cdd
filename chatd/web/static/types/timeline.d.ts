import type { Body } from "./wire.js";
/** The position in one conversation. Everything up to `rev` was emitted; `seq` is the last message, `top` the latest
 * known rev. `info`: the conversation's own fields as emitted by the current sync. */
interface Place {
    seq: number;
    rev: number;
    top: number;
    held: Body[];
    info: string | undefined;
}
export interface Position {
    cursor: string | null;
    conversations: Record<string, [seq: number, rev: number, behind: boolean]>;
    aliases?: Record<string, string>;
}
export declare class Timeline {
    readonly places: Map<string, Place>;
    /** The conversations that need a sync. */
    readonly behind: Set<string>;
    cursor: string | null;
    user: string;
    /** Something of the user's own may have changed. */
    ownBehind: boolean;
    private fresh;
    private waiting;
    private removals;
    private readonly aliases;
    /** The aliases in matches that were kept, which older states and messages still have. */
    private readonly formerAliases;
    private profilesBehind;
    constructor(position?: Position);
    /** The state with which a later client misses nothing. */
    get position(): Position;
    /** The id of this user in a conversation: the alias in a match. */
    knownAs(conversation: string): string;
    /** Whether an id in a conversation is one of this user, before or after the match was kept. */
    isOwn(conversation: string, id: string): boolean;
    /** Notes the alias of a match, unless it was kept since: a state may be older than `match.kept`. */
    private noteAlias;
    /** Notes that a match was kept. Returns whether that is new. */
    private endAlias;
    /** Begins at a stored place in a conversation. Returns false if a place is known. */
    restore(id: string, [seq, rev]: [seq: number, rev: number], alias?: string): boolean;
    /** Holds all events until it is known which conversations have changed. */
    connected(): void;
    /** Takes positions from session.sync. On the first sync they are adopted; later a higher rev means a gap.
     * `reset`: these are all conversations; the known state of each is discarded, whatever its rev. */
    takeStates(states: Body[], reset?: boolean): void;
    /** Adopts the state of a server that was restored from a backup. */
    reset(state: Body): Body[];
    /** Removes conversations that the user has left. The list may be older than live events, so each conversation is
     * queried from the server. */
    removeGone(ids: string[]): void;
    /** All states have arrived in `state`. Returns the events to emit for them, and those that waited for it. */
    statesEnd(cursor: string, state?: Body): Body[];
    private place;
    /** Notes that something up to `rev` was not emitted. */
    private fallBehind;
    /** A live event. Returns the events to emit: this one, or none if it is known or has to wait for a sync. */
    take(event: Body): Body[];
    /** A conversation that may be new. One without messages has nothing to catch up with. */
    noteConversation(conversation: Body): void;
    /** Syncs a new conversation from the beginning of the user's membership. */
    private begin;
    /** Ends the membership, with its last event. Events that were missed before it are no longer accessible. */
    private leave;
    private takeDurable;
    /** A message of this client was committed: its place in the order is known, and there is nothing to emit. */
    acked(conversation: string, seq: number, rev: number): void;
    /** Forgets a conversation that the user has left. Returns the events to emit, once. */
    forget(id: string, reason?: string): Body[];
    /** The seq after which messages of this page are missing, and the seq up to which. They were changed later and come
     * with a later page, but are emitted in their place: see `takeHistory`. */
    hole(id: string, changes: Body): [after: number, until: number] | undefined;
    /** A page of history. Returns the new messages in their present state, in the order of seq. */
    takeHistory(id: string, messages: Body[]): Body[];
    /** A page of conversation.sync. Returns the missed events, then the held ones that follow. `known`: revs, by seq, at
     * which messages were emitted from history. */
    takeChanges(id: string, changes: Body, known?: Map<number, number>): Body[];
}
export {};
