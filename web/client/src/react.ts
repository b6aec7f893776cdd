// Hooks for React 18 and later. They only read from the client, which the provider gets.
import { createContext, createElement, useCallback, useContext, useMemo, useSyncExternalStore } from "react";
import type { FunctionComponent, ReactNode } from "react";
import type { ChatClient, Status } from "./client.js";
import type { ConversationHandle } from "./conversation.js";
import type { Readable } from "./readable.js";
import type { ConversationList, ConversationSnapshot } from "./views.js";
import type { PresenceState, User } from "./wire.js";

const Context = createContext<ChatClient | null>(null);

/** Makes a client available to the hooks below it. The app starts and stops it. */
export const ChatProvider: FunctionComponent<{ client: ChatClient; children?: ReactNode }> = ({ client, children }) =>
  createElement(Context.Provider, { value: client }, children);

/** The client. */
export function useChat(): ChatClient {
  const client = useContext(Context);
  if (!client) throw new Error("useChat needs a ChatProvider above it");
  return client;
}

export function useReadable<T>(readable: Readable<T>): T {
  return useSyncExternalStore(readable.subscribe, readable.get, readable.get);
}

/** The list of conversations. `useChat().conversations.more()` loads more. */
export function useConversations(): ConversationList {
  return useReadable(useChat().conversations);
}

/** A conversation with its latest messages, and its handle to send, read and load older ones. */
export function useConversation(id: string): ConversationSnapshot & { handle: ConversationHandle } {
  const handle = useChat().conversation(id);
  const snapshot = useReadable(handle);
  return useMemo(() => ({ ...snapshot, handle }), [snapshot, handle]);
}

/** The users who are typing, and a function to call for each key that this user presses. */
export function useTyping(id: string): [users: readonly string[], typing: () => void] {
  const handle = useChat().conversation(id);
  return [useReadable(handle).typing, useCallback(() => handle.typing(), [handle])];
}

/** Whether a user is online. */
export function usePresence(user: string): PresenceState {
  return useReadable(useChat().presence(user));
}

/** The profile of a user; null until it is loaded. */
export function useProfile(user: string): User | null {
  return useReadable(useChat().profile(user));
}

export function useConnectionStatus(): Status {
  return useReadable(useChat().status);
}
