// The replies in the thread of a message, beside the conversation.
import type { ChatMessage, ConversationHandle, ConversationView } from "@chatd/client";
import { attempt, type App } from "./app.js";
import { Composer } from "./composer.js";
import { iconButton } from "./controls.js";
import { el, Ends, Views } from "./dom.js";
import { count } from "./format.js";
import { messageView, type MessageItem, type Thread } from "./message.js";
import { onMessageKey, openMessageMenu, type Around } from "./message-actions.js";

export class Replies implements Thread {
  readonly node: HTMLElement;
  private readonly list = el("ol", { class: "messages", "aria-label": "Replies" });
  private readonly scroller = el("div", { class: "messages-scroller" }, this.list);
  private readonly views: Views<MessageItem>;
  private readonly kept = new Map<string, MessageItem>();
  private readonly composer: Composer;
  private readonly around: Around;
  private readonly ends = new Ends();
  /** Replies before those that the conversation has loaded. */
  private readonly older = new Map<string, ChatMessage>();
  private root: ChatMessage | undefined;
  private lastRead = 0;

  constructor(
    readonly app: App,
    readonly handle: ConversationHandle,
    readonly id: string,
    close: () => void,
  ) {
    this.views = new Views<MessageItem>(
      this.list,
      ({ key }) => key,
      (item) => messageView(this, item),
    );
    this.composer = new Composer(app, handle, {
      thread: id,
      lastOwn: () => this.messages().findLast(({ own, text, id }) => own && text && id),
    });
    this.around = {
      reply: (message) => this.composer.reply(message),
      edit: (message) => this.composer.edit(message),
      leave: close,
    };
    const title = el("h2", { class: "pane-title", tabindex: -1 }, "Thread");
    const header = el("header", { class: "pane-header" }, title, iconButton("close", "Close the thread", close));
    this.node = el("aside", { class: "panel", "aria-label": "Thread" }, header, this.scroller, this.composer.node);
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    this.node.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented) close();
    });
  }

  start(): void {
    this.ends.add(this.handle.subscribe(() => this.update()));
    void attempt(async () => {
      const { client } = this.app;
      const { items } = await client.call("thread.history", {
        conversation: this.handle.id,
        thread: this.id,
        limit: 100,
      });
      for (const message of items)
        this.older.set(message.id, {
          ...message,
          key: message.id,
          own: message.sender === client.knownAs(this.handle.id),
        });
      this.update();
    });
    this.update();
    this.composer.focus();
  }

  stop(): void {
    this.ends.run();
    this.views.clear();
  }

  view(): ConversationView | undefined {
    return this.handle.get().conversation;
  }

  jump(): void {}

  menu(message: ChatMessage, at: HTMLElement): void {
    openMessageMenu(this, this.around, message, at);
  }

  /** The root, and its replies in their order. */
  private messages(): ChatMessage[] {
    const { messages } = this.handle.get();
    this.root = messages.find(({ id }) => id === this.id) ?? this.root;
    const live = messages.filter(({ thread }) => thread === this.id);
    const known = new Set(live.map(({ id }) => id));
    const older = [...this.older.values()].filter(({ id }) => !known.has(id));
    const replies = [...older, ...live].sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity));
    return this.root ? [this.root, ...replies] : replies;
  }

  private update(): void {
    const isAtEnd = this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < 80;
    const messages = this.messages();
    this.views.show(messages.map((message) => this.item(message)));
    for (const node of this.list.children) node.setAttribute("tabindex", "0");
    if (isAtEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
    const last = messages.findLast(({ seq }) => seq !== null)?.seq ?? 0;
    if (last > this.lastRead && messages.length > 1) {
      this.lastRead = last;
      this.app.client.call("thread.read", { conversation: this.handle.id, thread: this.id, seq: last }).catch(() => {});
    }
  }

  private item(message: ChatMessage): MessageItem {
    const old = this.kept.get(message.key);
    if (old?.message === message) return old;
    const item = { key: message.key, message, isFirst: true };
    this.kept.set(message.key, item);
    return item;
  }

  private onKey(event: KeyboardEvent): void {
    const node = event.target as HTMLElement;
    if (!node.matches(".message") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowDown") (node.nextElementSibling as HTMLElement | null)?.focus();
    else if (event.key === "ArrowUp") (node.previousElementSibling as HTMLElement | null)?.focus();
    else {
      const message = this.messages().find(({ key }) => key === node.dataset.key);
      if (message) onMessageKey(this, this.around, event, message, node);
      return;
    }
    event.preventDefault();
  }
}

/** "3 replies" below the root of a thread. */
export function repliesButton({ replies }: ChatMessage, open: () => void): HTMLElement | null {
  if (!replies?.count) return null;
  const attributes = { type: "button", class: "link-button replies", "data-control": "replies" };
  return el("button", { ...attributes, on: { click: open } }, count(replies.count, "reply", "replies"));
}
