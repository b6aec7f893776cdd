import type { Body } from "./wire.js";
/** Whether the event has a place in the order of its conversation. */
export declare function isDurable(event: Body): boolean;
/** The conversation of an event: some events name it, some contain it. */
export declare function conversationOf(event: Body): string;
/** Events of new messages, and of changes of known ones. */
export declare function missedMessages(id: string, messages: Body[], knownSeq: number): Body[];
/** Sorts by rev, but new messages by seq: a message that was changed later keeps its place. */
export declare function inOrder(events: Body[]): Body[];
/** The states of members, their receipts, then departures. */
export declare function missedMembers(id: string, changes: Body): Body[];
/** The shared state of the conversation. Its rev may be anywhere in the page, so it comes first. */
export declare function missedInfo(id: string, changes: Body, firstRev: number, seq: number): Body[];
/** The changes that may concern the user only: counters and settings, marks on messages, followed threads, the rest. */
export declare function sessionChanged(since: string | null, state: Body): Body[];
/** Makes the store drop the conversation and load its messages up to `seq` again. */
export declare function resetEvent(id: string, seq: number): Body;
