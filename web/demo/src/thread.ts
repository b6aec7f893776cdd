// The messages of a conversation: days, what is unread, older pages, and the focus that moves from message to message.
import type { ChatMessage, ConversationHandle, ConversationSnapshot, ConversationView } from "@chatd/client";
import { announce, attempt, memberName, type App } from "./app.js";
import { el, Ends, fill, set, Views, type View } from "./dom.js";
import { dayName, dayOf } from "./format.js";
import { messageView, type MessageItem, type Thread } from "./message.js";
import { onMessageKey, openMessageMenu, type Around } from "./message-actions.js";
import { previewOf } from "./preview.js";

/** So near the end, in pixels, the thread follows new messages. */
const NEAR_END = 80;
/** So near the beginning it loads older ones. */
const NEAR_START = 400;
/** Messages of one sender within this time belong together. */
const TOGETHER_MS = 300_000;

interface Line {
  key: string;
  line: string;
  isNew: boolean;
}
type Item = MessageItem | Line;

export class MessageList implements Thread {
  readonly node: HTMLElement;
  private readonly scroller = el("div", { class: "messages-scroller" });
  private readonly list = el("ol", { class: "messages", "aria-label": "Messages" });
  private readonly top = el("p", { class: "messages-top" });
  private readonly typing = el("p", { class: "typing" });
  private readonly down: HTMLButtonElement;
  private readonly ends = new Ends();
  private readonly views: Views<Item>;
  private readonly kept = new Map<string, Item>();
  /** What was read when the conversation was opened: after it is the line "New". */
  private readSeq: number | undefined;
  private follows = true;
  private lastSeq: number | null = null;
  private newCount = 0;

  constructor(
    readonly app: App,
    readonly handle: ConversationHandle,
    private readonly around: Around,
  ) {
    this.views = new Views<Item>(
      this.list,
      (item) => item.key,
      (item) => this.make(item),
    );
    this.down = el("button", {
      type: "button",
      class: "to-end",
      hidden: true,
      on: { click: () => this.toEnd(true) },
    });
    this.scroller.append(this.top, this.list, this.typing);
    this.node = el("div", { class: "messages-area" }, this.scroller, this.down);
    this.scroller.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    this.list.addEventListener("focusin", ({ target }) =>
      this.rove((target as Element).closest<HTMLElement>(".message")),
    );
  }

  start(): void {
    const { conversation } = this.handle.get();
    this.readSeq = conversation?.read_seq;
    this.ends.add(this.handle.subscribe((snapshot) => this.update(snapshot)));
    const observer = new ResizeObserver(() => this.follows && this.toEnd());
    observer.observe(this.scroller);
    observer.observe(this.list);
    this.ends.add(() => observer.disconnect());
    this.ends.listen(document, "visibilitychange", () => this.markRead());
    this.ends.listen(window, "focus", () => this.markRead());
    this.update(this.handle.get());
  }

  stop(): void {
    this.ends.run();
    this.views.clear();
  }

  view(): ConversationView | undefined {
    return this.handle.get().conversation;
  }

  menu(message: ChatMessage, at: HTMLElement): void {
    openMessageMenu(this, this.around, message, at);
  }

  openThread(message: ChatMessage): void {
    this.around.openThread?.(message);
  }

  // --- what is shown ------------------------------------------------------------------------------------------------

  private update(snapshot: ConversationSnapshot): void {
    const { conversation, messages, hasOlder, loading, error, gone } = snapshot;
    this.readSeq ??= conversation?.read_seq;
    const height = this.scroller.scrollHeight - this.scroller.scrollTop;
    const before = this.list.firstElementChild;
    this.views.show(this.items(conversation, messages));
    const isEmpty = !messages.length && conversation !== undefined;
    const beginning = isEmpty ? "No messages yet. Say hello!" : "";
    fill(this.top, error ? `${error.message}.` : loading || (hasOlder && isEmpty) ? "Loading…" : gone ? "" : beginning);
    this.showTyping(snapshot);
    this.noteNew(conversation, messages);
    if (this.follows) this.toEnd();
    // Older messages came before the first one, which stays where it is.
    else if (before !== this.list.firstElementChild) this.scroller.scrollTop = this.scroller.scrollHeight - height;
    if (!this.list.querySelector('[tabindex="0"]')) this.rove(this.lastMessage());
    this.markRead();
    this.loadOlder();
  }

  private items(conversation: ConversationView | undefined, messages: readonly ChatMessage[]): Item[] {
    const items: Item[] = [];
    const now = this.app.client.now();
    let before: ChatMessage | undefined;
    let hasLine = false;
    for (const message of messages) {
      // Replies are in their thread.
      if (message.thread) continue;
      const day = dayOf(message.created_at);
      const isNewDay = !before || dayOf(before.created_at) !== day;
      if (isNewDay)
        items.push({ key: `day ${day} ${message.key}`, line: dayName(message.created_at, now), isNew: false });
      const isUnread =
        this.readSeq !== undefined && !message.own && !message.system && (message.seq ?? 0) > this.readSeq;
      if (isUnread && !hasLine && conversation) {
        hasLine = true;
        items.push({ key: `new ${message.key}`, line: "New", isNew: true });
      }
      const isTogether =
        before &&
        !isNewDay &&
        before.sender === message.sender &&
        !before.system &&
        message.created_at - before.created_at < TOGETHER_MS;
      items.push({ key: message.key, message, isFirst: !isTogether });
      before = message;
    }
    return this.unchanged(items);
  }

  /** The same objects as before for what has not changed. */
  private unchanged(items: Item[]): Item[] {
    const found = items.map((item) => {
      const old = this.kept.get(item.key);
      if (!old) return item;
      const isSame =
        "line" in item
          ? "line" in old && old.line === item.line
          : "message" in old && old.message === item.message && old.isFirst === item.isFirst;
      return isSame ? old : item;
    });
    this.kept.clear();
    for (const item of found) this.kept.set(item.key, item);
    return found;
  }

  private make(item: Item): View<Item> {
    if ("message" in item) return messageView(this, item) as View<Item>;
    const node = el("li", { class: item.isNew ? "line new" : "line" });
    const update = (value: Item): void => fill(node, el("span", {}, "line" in value ? value.line : ""));
    update(item);
    return { node, update };
  }

  private showTyping({ typing, conversation }: ConversationSnapshot): void {
    const names = typing.slice(0, 3).map((user) => memberName(this.app.client, conversation, user));
    const more = typing.length > 3 ? " and others" : "";
    const text = names.length ? `${names.join(", ")}${more} ${typing.length === 1 ? "is" : "are"} typing…` : "";
    if (this.typing.textContent !== text) fill(this.typing, text && el("bdi", {}, text));
  }

  /** Tells screen readers of new messages of others, and counts those below what is in view. */
  private noteNew(conversation: ConversationView | undefined, messages: readonly ChatMessage[]): void {
    const last = this.lastSeq;
    const top = messages.findLast(({ seq }) => seq !== null)?.seq ?? 0;
    this.lastSeq = Math.max(top, last ?? 0);
    if (last === null || top <= last) return;
    const fresh = messages.filter(({ seq, own }) => seq !== null && seq > last && !own);
    const message = fresh.at(-1);
    if (!message || !conversation) return;
    announce(
      `${memberName(this.app.client, conversation, message.sender)}: ${previewOf(this.app, conversation, message)}`,
    );
    if (!this.follows) this.newCount += fresh.length;
    this.showDown();
  }

  // --- scrolling ----------------------------------------------------------------------------------------------------

  private onScroll(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.follows = scrollHeight - scrollTop - clientHeight < NEAR_END;
    if (this.follows) this.newCount = 0;
    this.showDown();
    this.markRead();
    this.loadOlder();
  }

  private showDown(): void {
    this.down.hidden = this.follows;
    const text = this.newCount ? `${this.newCount} new ↓` : "To the end ↓";
    if (this.down.textContent !== text) fill(this.down, text);
  }

  toEnd(withFocus = false): void {
    this.follows = true;
    this.newCount = 0;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.showDown();
    if (withFocus) this.lastMessage()?.focus({ preventScroll: true });
  }

  private loadOlder(): void {
    const { hasOlder, loading, error } = this.handle.get();
    if (hasOlder && !loading && !error && this.scroller.scrollTop < NEAR_START) void this.handle.loadOlder();
  }

  /** Everything in view is read if the user looks at the end of the thread. */
  private markRead(): void {
    if (this.follows && document.visibilityState === "visible" && document.hasFocus()) this.handle.markRead();
  }

  /** Shows a message, and loads older ones until it is there. */
  async find(seq: number): Promise<void> {
    await attempt(async () => {
      for (;;) {
        const snapshot = this.handle.get();
        const found = this.list.querySelector<HTMLElement>(`[data-seq="${seq}"]`);
        if (found) {
          this.follows = false;
          found.scrollIntoView({ block: "center" });
          found.focus({ preventScroll: true });
          found.classList.remove("found");
          requestAnimationFrame(() => found.classList.add("found"));
          return;
        }
        if (!snapshot.hasOlder) throw new Error("This message is no longer there");
        this.follows = false;
        await this.handle.loadOlder();
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    });
  }

  jump(seq: number): void {
    void this.find(seq);
  }

  // --- the focus ----------------------------------------------------------------------------------------------------

  private lastMessage(): HTMLElement | null {
    return [...this.list.querySelectorAll<HTMLElement>(".message")].at(-1) ?? null;
  }

  focusLast(): void {
    this.lastMessage()?.focus();
  }

  /** One message at a time is a stop of the Tab key. */
  private rove(message: HTMLElement | null): void {
    if (!message) return;
    for (const other of this.list.querySelectorAll('[tabindex="0"]')) set(other, "tabindex", -1);
    set(message, "tabindex", 0);
  }

  private onKey(event: KeyboardEvent): void {
    const node = event.target as HTMLElement;
    if (!node.matches(".message") || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...this.list.querySelectorAll<HTMLElement>(".message")];
    const at = all.indexOf(node);
    const steps: Record<string, number> = {
      ArrowUp: -1,
      ArrowDown: 1,
      PageUp: -8,
      PageDown: 8,
      Home: -at,
      End: all.length,
    };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const target = all[Math.max(0, Math.min(all.length - 1, at + step))];
      target?.focus({ preventScroll: true });
      target?.scrollIntoView({ block: "nearest" });
      return;
    }
    const message = this.handle.get().messages.find(({ key }) => key === node.dataset.key);
    if (message && !message.system) onMessageKey(this, this.around, event, message, node);
  }
}
