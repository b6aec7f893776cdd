// One line about a message: for the list, quotes and screen readers.
import type { ChatMessage, ConversationView, SystemAct } from "@chatd/client";
import { memberName, type App } from "./app.js";
import { count } from "./format.js";

const KINDS = {
  audio: "Audio",
  contact: "Contact",
  file: "File",
  image: "Picture",
  link: "Link",
  location: "Location",
  video: "Video",
  voice: "Voice message",
};

export function previewOf(app: App, view: ConversationView | undefined, message: ChatMessage): string {
  if (message.deleted_at) return "Deleted message";
  if (message.system) return systemText(app, view, message.sender, message.system);
  if (message.concealed) return "Message of a blocked user";
  if (message.poll) return `Poll: ${message.text ?? ""}`;
  const first = message.attachments[0] as { type: keyof typeof KINDS; name?: string | null } | undefined;
  if (message.text) return message.text.slice(0, 500);
  if (first) return first.type === "file" && first.name ? `File: ${first.name}` : KINDS[first.type];
  return message.local ? "File" : "";
}

/** What the members of a group have done to it. */
export function systemText(app: App, view: ConversationView | undefined, sender: string, done: SystemAct): string {
  const name = (user: string): string =>
    app.client.knownAs(view?.id ?? "") === user || app.client.user === user
      ? "you"
      : memberName(app.client, view, user);
  const who = capital(name(sender));
  const others = done.users ?? [];
  const named = others.slice(0, 3).map(name).join(", ");
  const rest = (done.count ?? others.length) - Math.min(3, others.length);
  const whom = rest > 0 ? `${named} and ${count(rest, "other")}` : named;
  switch (done.act) {
    case "member.added":
      return `${who} added ${whom}`;
    case "member.approved":
      return `${who} let ${whom} in`;
    case "member.joined":
      return `${who} joined`;
    case "member.left":
      return `${who} left`;
    case "member.removed":
      return `${who} removed ${whom}`;
    case "member.role":
      return `${who} made ${whom} ${done.role ?? "member"}`;
    case "message.pinned":
      return `${who} pinned a message`;
    case "conversation.transferred":
      return `${who} made ${whom} the owner`;
    case "conversation.edited":
      return done.title ? `${who} named the group "${done.title}"` : `${who} changed the group`;
    default:
      return `${who} changed something`;
  }
}

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
