import { type Readable } from "./readable.js";
import type { Body, CommandName, FieldsOf, MatchFound, MatchProposed, Result } from "./wire.js";
export type MatchPhase = "idle" | "searching" | "proposed" | "matched";
export interface MatchState {
    phase: MatchPhase;
    ticket: string | null;
    /** Users who wait in the queue, as far as it is known. */
    waiting: number | null;
    /** What was found; also after its end, until the next search. */
    match: MatchFound | null;
    proposal: MatchProposed | null;
    /** You have voted to keep in touch. */
    kept: boolean;
    /** Why the last search or match has ended, such as `left`, `skipped`, `disconnected`, `kept` or `expired`. */
    reason: string | null;
}
type Call = <Name extends CommandName>(name: Name, fields: FieldsOf<Name>) => Promise<Result<Name>>;
export declare class Match implements Readable<MatchState> {
    private readonly call;
    private current;
    private readonly cell;
    readonly get: () => MatchState;
    readonly subscribe: (changed: (value: MatchState) => void) => (() => void);
    constructor(call: Call);
    /** Searches for a partner. A new search replaces the one before. */
    find(criteria?: FieldsOf<"match.find">): Promise<void>;
    /** Ends the search. */
    cancel(): Promise<void>;
    /** Accepts a proposal, in queues that require it. */
    confirm(): Promise<void>;
    /** Ends the match, and searches for the next one with the same criteria. */
    skip(): Promise<void>;
    /** Ends the match. */
    end(): Promise<void>;
    /** Votes to keep in touch. With the votes of all, the conversation stays. */
    keep(): Promise<void>;
    /** Reports the partner, also for a day after the end. */
    report(reason: string, text?: string): Promise<void>;
    /** Blocks the partner, which ends the match. */
    block(): Promise<void>;
    private ignoringEnd;
    take(event: Body): void;
    /** After an absence: whether the search goes on. */
    connected(): Promise<void>;
    private become;
}
export {};
