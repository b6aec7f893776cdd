// What all parts of the page share: the client, the account, the open view, and how to say something to the user.
import { Disconnected, Ended, Refused, type ChatClient, type ConversationView, type Guest } from "@chatd/client";
import type { SignedFiles } from "./files.js";
import { NAMELESS } from "./format.js";
import { announce, toast } from "./notices.js";
import type { Tray } from "./uploads.js";

export interface App {
  readonly client: ChatClient;
  readonly account: Guest;
  readonly files: SignedFiles;
  /** Files that are not sent yet, by conversation and thread: they stay when another view is opened. */
  readonly trays: Map<string, Tray>;
  /** Ends the session, and shows the sign-in. */
  signOut(): Promise<void>;
}

/** What an error means for the user. */
export function reasonOf(error: unknown): string {
  if (error instanceof Refused) {
    const wait = error.retryAfter ? ` Try again in ${Math.ceil(error.retryAfter)} s.` : "";
    return `${capital(error.message)}.${wait}`;
  }
  if (error instanceof Disconnected) return "The connection ended, so it is not known whether this was done.";
  if (error instanceof Ended) return capital(error.message);
  return error instanceof Error ? `${error.message || error.name}.` : "Something went wrong.";
}

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

/** Carries out what the user has asked for; a failure is shown. Returns whether it was done. */
export async function attempt(act: () => Promise<unknown> | unknown, done?: string): Promise<boolean> {
  try {
    await act();
    if (done) toast(done);
    return true;
  } catch (error) {
    toast(reasonOf(error), "error");
    if (!(error instanceof Refused || error instanceof Disconnected || error instanceof Ended)) console.error(error);
    return false;
  }
}

/** An id of a message, by which the server knows one that it gets twice. */
export const newClientId = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export function titleOf(view: ConversationView | undefined): string {
  if (!view) return "…";
  if (view.name) return view.name;
  if (view.kind === "match") return "Stranger";
  if (view.kind === "group") return "Group without a name";
  return NAMELESS;
}

/** The name of a user, as a conversation knows it. */
export function memberName(client: ChatClient, view: ConversationView | undefined, user: string): string {
  const member = view?.members.find((one) => one.user === user);
  const name = member?.name || member?.handle || client.profile(user).get()?.name;
  return name || (view?.kind === "match" ? "Stranger" : NAMELESS);
}

export { announce, toast };
