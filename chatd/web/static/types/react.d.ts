import type { FunctionComponent, ReactNode } from "react";
import type { ChatClient, Status } from "./client.js";
import type { ConversationHandle } from "./conversation.js";
import type { Readable } from "./readable.js";
import type { ConversationList, ConversationSnapshot } from "./views.js";
import type { PresenceState, User } from "./wire.js";
/** Makes a client available to the hooks below it. The app starts and stops it. */
export declare const ChatProvider: FunctionComponent<{
    client: ChatClient;
    children?: ReactNode;
}>;
/** The client. */
export declare function useChat(): ChatClient;
export declare function useReadable<T>(readable: Readable<T>): T;
/** The list of conversations. `useChat().conversations.more()` loads more. */
export declare function useConversations(): ConversationList;
/** A conversation with its latest messages, and its handle to send, read and load older ones. */
export declare function useConversation(id: string): ConversationSnapshot & {
    handle: ConversationHandle;
};
/** The users who are typing, and a function to call for each key that this user presses. */
export declare function useTyping(id: string): [users: readonly string[], typing: () => void];
/** Whether a user is online. */
export declare function usePresence(user: string): PresenceState;
/** The profile of a user; null until it is loaded. */
export declare function useProfile(user: string): User | null;
export declare function useConnectionStatus(): Status;
