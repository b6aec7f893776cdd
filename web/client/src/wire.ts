// The types of the wire that the client uses, and what it adds to them.
import type { Command, Counters, Mark, ResultOf, ServerEvent, ThreadMark, UnansweredCommand } from "../../../docs/chatd.js";

export type * from "../../../docs/chatd.js";

/** A command by its name, such as "message.send". */
export type CommandName = Command["t"];
export type FieldsOf<Name extends CommandName> = Omit<Extract<Command, { t: Name }>, "t">;
/** The fields may be left out if the command requires none. */
export type Arguments<Fields> = {} extends Fields ? [fields?: Fields] : [fields: Fields];
export type UnansweredName = UnansweredCommand["t"];
export type Result<Name extends CommandName> = ResultOf[Name];

/** The body of a frame, as far as its type is not known. */
export interface Body {
  t: string;
  [field: string]: any;
}

/** The conversation has to be loaded again: the server was restored from a backup, or a match was kept meanwhile. */
export interface ConversationReset {
  t: "conversation.reset";
  conversation: string;
  seq: number;
}

/** You are no longer in the conversation. `unknown`: it ended while the client was offline. */
export interface ConversationEnded {
  t: "conversation.gone";
  conversation: string;
  reason: "left" | "removed" | "dissolved" | "unknown";
}

/** Settings, counters, marks or followed threads of yours have changed. `own`: so may have profile, blocks, contacts. */
export interface SessionChanged {
  t: "session.changed";
  since: string | null;
  conversations: Counters[];
  marks: Mark[];
  own: boolean;
  threads?: ThreadMark[];
}

/** Events `user.updated` may be missing. */
export interface ProfilesBehind {
  t: "profiles.behind";
}

type Live = Exclude<ServerEvent, { t: "conversation.gone" | "behind" | "session.behind" | "connected" | "closed" | "token.expiring" }>;
/** What `client.on` gets: events of the server, each once and in order, and those of the client. */
export type ChatEvent = Live | ConversationReset | ConversationEnded | SessionChanged | ProfilesBehind;
export type EventName = ChatEvent["t"];
export type EventOf<Name extends EventName> = Extract<ChatEvent, { t: Name }>;
