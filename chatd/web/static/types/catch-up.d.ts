import type { Lifetime } from "./lifetime.js";
import type { Link } from "./link.js";
import type { Timeline } from "./timeline.js";
import type { Body } from "./wire.js";
export declare class CatchUp {
    private readonly timeline;
    private readonly emit;
    /** All states of a session.sync, before its events. */
    private readonly takeStates;
    private readonly life;
    /** Compares what was stored with the states. Returns events. */
    private readonly compare;
    private found;
    constructor(timeline: Timeline, emit: (events: Body[]) => void, 
    /** All states of a session.sync, before its events. */
    takeStates: (state: Body) => void, life: Lifetime, 
    /** Compares what was stored with the states. Returns events. */
    compare: (states: Body[]) => Body[]);
    /** Call it after everything that may have shown a gap. */
    check(): void;
    /** Fetches the states that have changed since the last sync. Throws Disconnected, Refused. */
    states(link: Link): Promise<void>;
    /** Syncs all conversations that have a gap, now and whenever a new gap is found. Throws Disconnected. */
    closeGaps(link: Link): Promise<never>;
    private statesAgain;
    /** Syncs one conversation. A refusal does not delay the others; `not_found`: the user is no longer a member. */
    private closeGap;
    /** Emits the new messages of a page, together with later changes. Returns what was emitted: rev by seq. */
    private fillHole;
}
