import type { OutboxEntry } from "./outbox.js";
import { Cell } from "./readable.js";
import type { ConversationSnapshot, ConversationView } from "./views.js";
import type { Body, Conversation, Mark, Member, Message, MessageAck, RefusalCode, User } from "./wire.js";
export interface Surroundings {
    /** The id of this user in the conversation. */
    isOwn(conversation: string, user: string): boolean;
    me(conversation: string): string;
    waiting(conversation: string): OutboxEntry[];
    now(): number;
    /** The list shows something of this conversation. */
    listed(state: ConversationState): void;
    watched(state: ConversationState, on: boolean): void;
}
export declare class ConversationState {
    readonly id: string;
    private readonly around;
    info: Partial<Conversation>;
    /** The whole conversation is known, with members and last message, not only its counters. */
    isLoaded: boolean;
    readonly members: Map<string, Member>;
    readonly messages: Map<number, Message>;
    /** The first message of the range; undefined if no message is known. */
    from: number | undefined;
    /** There is none before it. */
    isComplete: boolean;
    loading: boolean;
    gone: ConversationSnapshot["gone"];
    error: ConversationSnapshot["error"];
    /** A draft that the server does not have yet. */
    hasNewDraft: boolean;
    readonly snapshot: Cell<ConversationSnapshot>;
    readonly view: Cell<ConversationView>;
    /** The last message that `unread` of `info` takes into account. */
    private counted;
    private readonly byId;
    private readonly typing;
    private readonly views;
    constructor(id: string, around: Surroundings);
    changed(): void;
    isOwn(user: string): boolean;
    get isDirect(): boolean;
    get topSeq(): number;
    /** A conversation of the server, or a part of it. */
    merge(given: Partial<Conversation>): void;
    /** Takes what was stored of the conversation. */
    restore(info: Partial<Conversation>, members: Member[], messages: Message[], isComplete: boolean): void;
    /** `unread` is that of a state with this `seq`: adds the messages after it that had been counted before. */
    private countFrom;
    private countsAsUnread;
    private count;
    /** `live`: an event for all members, without the marks of this user. */
    put(message: Message, from: "live" | "state"): void;
    /** Quotes show a message as it is now. */
    private requote;
    /** A page of history before the range, or its latest page. */
    putPage(items: Message[], hasMore: boolean): void;
    byMessageId(id: string): Message | undefined;
    alter(id: string, change: (message: Message) => Partial<Message>): void;
    /** Drops the messages, of which there are now those up to `seq`. */
    reset(seq: number): void;
    /** Keeps the latest messages only. */
    trim(): void;
    take(event: Body): void;
    private added;
    private updated;
    private read;
    /** Own messages up to `seq` are read. */
    readUpTo(seq: number): void;
    private receipt;
    private countMember;
    /** A message of this client is committed. */
    acked(entry: OutboxEntry, ack: MessageAck): void;
    mark(mark: Mark): void;
    setTyping(user: string, seconds: number): void;
    /** Nobody is known to type any more: the connection has ended. */
    clearTyping(): void;
    profile(user: User): void;
    end(reason: NonNullable<ConversationSnapshot["gone"]>): void;
    fail(error: {
        code: RefusalCode;
        message: string;
    }): void;
    private makeView;
    private makeSnapshot;
    /** Up to which message all other members have received and read; undefined if not all of them are known. */
    private positions;
    private messageView;
    private waitingView;
}
