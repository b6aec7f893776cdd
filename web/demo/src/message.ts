// One message of a thread.
import type { ChatMessage, ConversationHandle, ConversationView, MessageState } from "@chatd/client";
import { memberName, type App } from "./app.js";
import { attachmentsOf, card } from "./attachments.js";
import { avatar } from "./avatar.js";
import { iconButton } from "./controls.js";
import { el, fill, set, type Child, type View } from "./dom.js";
import { fullTime, hueOf, timeOf } from "./format.js";
import { icon, type IconName } from "./icons.js";
import { forwardedFrom } from "./message-actions.js";
import { pollOf } from "./poll.js";
import { previewOf, systemText } from "./preview.js";
import { reactionsOf } from "./reactions.js";
import { repliesButton } from "./replies.js";
import { messageText } from "./text.js";

/** What a message needs of the thread that it is in. */
export interface Thread {
  readonly app: App;
  readonly handle: ConversationHandle;
  view(): ConversationView | undefined;
  /** Shows a message that may not be loaded. */
  jump(seq: number): void;
  menu(message: ChatMessage, at: HTMLElement): void;
  /** Undefined in a thread. */
  openThread?(message: ChatMessage): void;
}

export interface MessageItem {
  key: string;
  message: ChatMessage;
  /** The first of several messages of one sender. */
  isFirst: boolean;
}

const STATES: Record<MessageState, [IconName, string]> = {
  queued: ["clock", "waiting to be sent"],
  sent: ["check", "sent"],
  delivered: ["checks", "delivered"],
  read: ["checks", "read"],
  failed: ["warning", "not sent"],
};

export function messageView(thread: Thread, first: MessageItem): View<MessageItem> {
  const node = el("li", { class: "message", tabindex: -1 });
  let item = first;
  const update = (value: MessageItem): void => {
    item = value;
    const hadFocus = node.contains(document.activeElement);
    const name = (document.activeElement as HTMLElement | null)?.dataset.control;
    show(thread, node, item);
    // What had the focus may have been replaced.
    if (hadFocus && !node.contains(document.activeElement))
      (node.querySelector<HTMLElement>(`[data-control="${name ?? "none"}"]`) ?? node).focus({
        preventScroll: true,
      });
  };
  node.addEventListener("contextmenu", (event) => {
    if (item.message.system || getSelection()?.type === "Range" || event.target instanceof HTMLAnchorElement) return;
    event.preventDefault();
    thread.menu(item.message, node);
  });
  show(thread, node, item);
  return { node, update };
}

function show(thread: Thread, node: HTMLElement, { message, isFirst }: MessageItem): void {
  const { app } = thread;
  const view = thread.view();
  node.dataset.key = message.key;
  set(node, "data-seq", message.seq);
  set(node, "data-state", message.state);
  if (message.system) {
    node.className = "message system";
    return fill(node, el("span", { dir: "auto" }, systemText(app, view, message.sender, message.system)));
  }
  node.className = `message ${message.own ? "own" : "other"}${isFirst ? " first" : ""}`;
  const name = message.own ? "You" : memberName(app.client, view, message.sender);
  const isGroup = view?.kind !== "direct" && !message.own;
  const more = iconButton("more", "Actions", () => thread.menu(message, more), { "aria-haspopup": "menu" });
  more.dataset.control = "more";
  fill(
    node,
    isGroup && el("span", { class: "message-sign" }, isFirst && avatar(message.sender, name)),
    el(
      "div",
      { class: "bubble" },
      isGroup && isFirst
        ? el("bdi", { class: `sender text-hue-${hueOf(message.sender)}` }, name)
        : el("span", { class: "hidden" }, el("bdi", {}, name), ": "),
      content(thread, message),
      footer(message),
      reactionsOf(thread, message),
      thread.openThread && repliesButton(message, () => thread.openThread?.(message)),
    ),
    more,
    message.state === "failed" && failed(thread, message),
  );
}

function content(thread: Thread, message: ChatMessage): Child {
  if (message.deleted_at) return el("em", { class: "gone" }, "This message was deleted.");
  if (message.concealed) return el("em", { class: "gone" }, "You have blocked the sender.");
  const { preview } = message;
  return [
    forwardedFrom(thread, message),
    quote(thread, message),
    attachmentsOf(thread.app, message),
    message.text ? messageText(message.text) : null,
    pollOf(thread, message),
    preview && card(preview.title, preview.description ?? preview.site_name, preview.url),
  ];
}

function quote(thread: Thread, { quote: quoted, reply_to }: ChatMessage): Child {
  if (!quoted && !reply_to) return null;
  const view = thread.view();
  const known = thread.handle.get().messages.find(({ id }) => id === reply_to);
  const seq = quoted?.seq ?? known?.seq;
  const sender = quoted?.sender ?? known?.sender;
  const own = sender === thread.app.client.knownAs(thread.handle.id) || known?.own;
  const name = !sender ? "" : own ? "You" : memberName(thread.app.client, view, sender);
  const text = quoted
    ? quoted.deleted
      ? "Deleted message"
      : quoted.text || "Attachment"
    : known && previewOf(thread.app, view, known);
  const jump = (): void => void (seq && thread.jump(seq));
  return el(
    "button",
    { type: "button", class: "quote", "data-control": "quote", on: { click: jump } },
    el("span", { class: "hidden" }, "In reply to "),
    el("bdi", { class: "quote-name" }, name),
    el("span", { class: "quote-text", dir: "auto" }, (text ?? "Earlier message").slice(0, 200)),
  );
}

function footer(message: ChatMessage): HTMLElement {
  const [name, text] = (message.state && STATES[message.state]) ?? [];
  return el(
    "span",
    { class: "footer" },
    message.starred_at && part("star", "starred"),
    message.pinned_at && part("pin", "pinned"),
    message.edited_at && !message.deleted_at && el("span", { title: fullTime(message.edited_at) }, "edited"),
    el(
      "time",
      { datetime: new Date(message.created_at).toISOString(), title: fullTime(message.created_at) },
      timeOf(message.created_at),
    ),
    name && text && part(name, text),
  );
}

const part = (name: IconName, text: string): HTMLElement =>
  el("span", { title: text }, icon(name), el("span", { class: "hidden" }, text));

function failed({ handle }: Thread, { client_id, error }: ChatMessage): HTMLElement {
  const act = (text: string, does: () => void): HTMLElement =>
    el("button", { type: "button", class: "link-button", "data-control": text, on: { click: does } }, text);
  return el(
    "p",
    { class: "failed" },
    el("span", { dir: "auto" }, `Not sent: ${error?.message ?? "the server has refused it"}. `),
    act("Try again", () => handle.retry(client_id)),
    " ",
    act("Discard", () => handle.discard(client_id)),
  );
}
