import type { ChatClient } from "./client.js";
import type { ConversationState } from "./conversation-state.js";
import type { SendFields } from "./outbox.js";
import type { Readable } from "./readable.js";
import type { Store } from "./store.js";
import type { ConversationSnapshot } from "./views.js";
import type { MessageAck, SetConversation } from "./wire.js";
export interface Message extends Omit<SendFields, "conversation" | "client_id"> {
    /** Chosen by the client, unless you want to send a message once more that you sent before. */
    client_id?: string;
    /** Shown with the message until it is sent, such as the address of a picture. It is not sent. */
    local?: unknown;
}
/** A message on its way. */
export interface Sending {
    client_id: string;
    /** Rejected with Refused if the server refuses the message for good. It may be ignored: the message shows its state. */
    ack: Promise<MessageAck>;
}
/** While it has subscribers, it has the latest messages. */
export declare class ConversationHandle implements Readable<ConversationSnapshot> {
    private readonly client;
    private readonly store;
    private readonly state;
    readonly get: () => ConversationSnapshot;
    readonly subscribe: Readable<ConversationSnapshot>["subscribe"];
    private typingSince;
    private typingTimer;
    private draftTimer;
    private readTimer;
    constructor(client: ChatClient, store: Store, state: ConversationState);
    get id(): string;
    /** Loads the conversation and its latest messages. Subscribing does so, too. */
    load(): Promise<void>;
    /** Loads a page of messages before those that are there. */
    loadOlder(): Promise<void>;
    /** Sends a text, or a message with attachments, a reply and so on. It is shown at once, and sent when possible. */
    send(message: string | Message): Sending;
    /** Reports that the user has read everything, or all messages up to `seq`. */
    markRead(seq?: number): void;
    /** Call it for each key: others see that the user is typing, until a message is sent or some seconds have passed. */
    typing(): void;
    stopTyping(): void;
    /** Keeps an unsent text, which the other devices of the user get. It is in `conversation.settings.draft`. */
    setDraft(text: string): void;
    private saveDraft;
    edit(message: string, text: string): Promise<void>;
    /** For all members, or with `forAll` false only for this user. */
    delete(message: string, forAll?: boolean): Promise<void>;
    react(message: string, emoji: string, on?: boolean): Promise<void>;
    star(message: string, on?: boolean): Promise<void>;
    vote(message: string, options: number[]): Promise<void>;
    /** Sends a message again that has failed. */
    retry(clientId: string): void;
    /** Drops a message that has failed or waits. */
    discard(clientId: string): void;
    /** Changes settings of this user: muted_until, archived, pinned, hidden, notify, labels. */
    settings(fields: Omit<SetConversation, "t" | "conversation">): Promise<void>;
    stop(): void;
}
