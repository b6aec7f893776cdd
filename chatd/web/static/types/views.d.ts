import type { Conversation, Member, Message, RefusalCode } from "./wire.js";
/** `queued`: not at the server yet. `sent`: committed. `delivered`, `read`: by all other members, if all are known. */
export type MessageState = "queued" | "sent" | "delivered" | "read" | "failed";
/** A message of the server, or one of this client that waits to be sent: then `id`, `seq` and `rev` are null. */
export interface ChatMessage extends Omit<Message, "id" | "seq" | "rev"> {
    id: string | null;
    seq: number | null;
    rev: number | null;
    /** Stays the same when the message is sent: a key for lists. */
    key: string;
    own: boolean;
    /** Of your own messages. */
    state?: MessageState;
    /** Why it has failed. */
    error?: {
        code: RefusalCode;
        message: string;
    };
    /** What the app has given to `send` as `local`. */
    local?: unknown;
}
export interface ConversationView extends Partial<Conversation> {
    id: string;
    /** The title, or the names of the other members. */
    name: string;
    /** The other member of a direct conversation or of a match of two. */
    partner: Member | null;
    members: Member[];
    unread: number;
    mentions: number;
    last: ChatMessage | null;
    /** Messages that wait to be sent, or have failed. */
    waiting: number;
    /** The time of the last message, or of the beginning: what the list is sorted by. */
    active_at: number;
}
/** A page of the list, pinned conversations first, then the most recently active. Hidden ones are left out. */
export interface ConversationList {
    items: readonly ConversationView[];
    /** There are more on the server: call `more()`. */
    hasMore: boolean;
    loading: boolean;
    /** Unread messages of all conversations that are neither muted nor archived, also of those that are not loaded. */
    unread: number;
}
export interface ConversationSnapshot {
    id: string;
    /** Undefined until it is loaded. */
    conversation: ConversationView | undefined;
    /** In their order, those that wait to be sent last. */
    messages: readonly ChatMessage[];
    /** There are older messages on the server: call `loadOlder()`. */
    hasOlder: boolean;
    loading: boolean;
    /** Users who are typing. */
    typing: readonly string[];
    /** Why it has ended for you. */
    gone: "left" | "removed" | "dissolved" | "unknown" | null;
    error: {
        code: RefusalCode;
        message: string;
    } | null;
}
