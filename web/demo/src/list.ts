// The list of conversations. Only the rows in view are in the page, so that ten thousand of them are as quick as ten.
import type { ConversationView } from "@chatd/client";
import { memberName, titleOf, type App } from "./app.js";
import { avatar, setPresence } from "./avatar.js";
import { el, Ends, fill, set, Views, type View } from "./dom.js";
import { shortTime } from "./format.js";
import { icon } from "./icons.js";
import { previewOf } from "./preview.js";
import { pathOf } from "./routes.js";

/** The height of a row in pixels, as in the style sheet. */
const ROW = 68;
/** Rows beyond each edge of what is in view. */
const MARGIN = 6;

type Filter = "all" | "unread" | "archived";

interface Row {
  index: number;
  total: number;
  view: ConversationView;
  isOpen: boolean;
}

export class ConversationList implements View<void> {
  readonly node: HTMLElement;
  private readonly scroller = el("div", { class: "list-scroller" });
  private readonly rows = el("ul", { class: "list-rows" });
  private readonly empty = el("p", { class: "list-empty" });
  private readonly ends = new Ends();
  private readonly views: Views<Row>;
  private readonly kept = new Map<string, Row>();
  private items: readonly ConversationView[] = [];
  private open: string | null = null;
  private filter: Filter = "all";
  private isScheduled = false;

  constructor(private readonly app: App) {
    this.views = new Views<Row>(
      this.rows,
      (row) => row.view.id,
      (row) => this.row(row),
    );
    this.scroller.append(this.rows, this.empty);
    this.node = el("nav", { class: "list", "aria-label": "Conversations" }, this.filters(), this.scroller);
    this.scroller.addEventListener("scroll", () => this.schedule(), { passive: true });
    this.rows.addEventListener("keydown", (event) => this.onKey(event));
  }

  start(): void {
    this.ends.add(this.app.client.conversations.subscribe(() => this.update()));
    const observer = new ResizeObserver(() => this.schedule());
    observer.observe(this.scroller);
    this.ends.add(() => observer.disconnect());
    // Times such as "yesterday" change by themselves.
    const timer = setInterval(() => this.refresh(), 60_000);
    this.ends.add(() => clearInterval(timer));
    this.update();
  }

  stop(): void {
    this.ends.run();
    this.views.clear();
  }

  /** Marks the conversation that is open. */
  select(id: string | null): void {
    this.open = id;
    this.schedule();
  }

  /** The conversation before or after the open one. */
  neighbour(step: 1 | -1): string | null {
    const at = this.items.findIndex(({ id }) => id === this.open);
    return this.items[at < 0 ? 0 : at + step]?.id ?? null;
  }

  update(): void {
    const { items, hasMore, loading } = this.app.client.conversations.get();
    this.items = items.filter((one) => this.isShown(one));
    const nothing = {
      all: "No conversations yet. Press + to begin one.",
      unread: "Nothing is unread.",
      archived: "Nothing is archived.",
    };
    const isEmpty = this.items.length === 0;
    fill(this.empty, isEmpty && (loading || hasMore ? "Loading…" : nothing[this.filter]));
    this.schedule();
  }

  private isShown({ settings, unread, id }: ConversationView): boolean {
    if (this.filter === "archived") return Boolean(settings?.archived);
    if (settings?.archived) return false;
    return this.filter === "all" || unread > 0 || id === this.open;
  }

  private filters(): HTMLElement {
    const choice = (filter: Filter, text: string): HTMLElement =>
      el(
        "button",
        {
          type: "button",
          class: "filter",
          "aria-pressed": filter === this.filter ? "true" : "false",
          on: {
            click: ({ currentTarget }) => {
              this.filter = filter;
              for (const other of group.children)
                set(other, "aria-pressed", other === currentTarget ? "true" : "false");
              this.scroller.scrollTop = 0;
              this.update();
            },
          },
        },
        text,
      );
    const choices = [choice("all", "All"), choice("unread", "Unread"), choice("archived", "Archived")];
    const group = el("div", { class: "filters", role: "group", "aria-label": "Which conversations" }, choices);
    return group;
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(() => {
      this.isScheduled = false;
      this.render();
    });
  }

  private refresh(): void {
    this.kept.clear();
    this.schedule();
  }

  private render(): void {
    const { scrollTop, clientHeight } = this.scroller;
    const total = this.items.length;
    this.rows.style.height = `${total * ROW}px`;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - MARGIN);
    const last = Math.min(total, Math.ceil((scrollTop + clientHeight) / ROW) + MARGIN);
    const shown = this.items.slice(first, last).map((view, at) => this.rowOf(view, first + at, total));
    // A row with the focus stays in the page.
    const focused = this.focusedIndex();
    if (focused !== null && (focused < first || focused >= last)) {
      const view = this.items[focused];
      if (view) shown.push(this.rowOf(view, focused, total));
    }
    this.views.show(shown);
    const ids = new Set(shown.map(({ view }) => view.id));
    for (const id of this.kept.keys()) if (!ids.has(id)) this.kept.delete(id);
    const { hasMore, loading } = this.app.client.conversations.get();
    if (hasMore && !loading && last >= total - MARGIN) void this.app.client.conversations.more().catch(() => {});
  }

  /** The same object as before for a row that has not changed. */
  private rowOf(view: ConversationView, index: number, total: number): Row {
    const isOpen = view.id === this.open;
    const old = this.kept.get(view.id);
    if (old && old.view === view && old.index === index && old.total === total && old.isOpen === isOpen) return old;
    const row = { view, index, total, isOpen };
    this.kept.set(view.id, row);
    return row;
  }

  private focusedIndex(): number | null {
    const row = document.activeElement?.closest<HTMLElement>(".row");
    if (!row || !this.rows.contains(row)) return null;
    const at = this.items.findIndex(({ id }) => id === row.dataset.id);
    return at < 0 ? null : at;
  }

  private onKey(event: KeyboardEvent): void {
    const at = this.focusedIndex();
    if (at === null) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW) - 1);
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    const step = steps[event.key] ?? (event.key === "Home" ? -at : event.key === "End" ? this.items.length : 0);
    if (!step) return;
    event.preventDefault();
    this.focus(at + step);
  }

  /** Moves the focus to a row, which may not be in the page yet. */
  focus(index = this.items.findIndex(({ id }) => id === this.open)): void {
    const at = Math.max(0, Math.min(index, this.items.length - 1));
    const item = this.items[at];
    if (!item) return;
    const { scrollTop, clientHeight } = this.scroller;
    if (at * ROW < scrollTop) this.scroller.scrollTop = at * ROW;
    else if ((at + 1) * ROW > scrollTop + clientHeight) this.scroller.scrollTop = (at + 1) * ROW - clientHeight;
    this.render();
    this.views.get(item.id)?.node.querySelector<HTMLElement>("a")?.focus({ preventScroll: true });
  }

  // --- a row --------------------------------------------------------------------------------------------------------

  private row(first: Row): View<Row> {
    const { client } = this.app;
    let row = first;
    const { partner } = row.view;
    const link = el("a", { class: "row-link" });
    const node = el("li", { class: "row" }, link);
    node.dataset.id = row.view.id;
    const presence = partner && row.view.kind === "direct" ? client.presence(partner.user) : undefined;
    const show = (): void => this.show(node, link, row, presence?.get().status);
    const end = presence?.subscribe(show);
    show();
    return {
      node,
      update: (value) => {
        row = value;
        show();
      },
      stop: () => end?.(),
    };
  }

  private show(
    node: HTMLElement,
    link: HTMLAnchorElement,
    { view, index, total, isOpen }: Row,
    status: "online" | "away" | "offline" | undefined,
  ): void {
    const { client } = this.app;
    const { settings, unread, mentions, last } = view;
    const name = titleOf(view);
    const sign = avatar(view.partner?.user ?? view.id, name);
    setPresence(sign, status);
    node.style.insetBlockStart = `${index * ROW}px`;
    set(node, "aria-setsize", total);
    set(node, "aria-posinset", index + 1);
    set(link, "href", pathOf(view.id));
    set(link, "aria-current", isOpen && "page");
    const isMuted = (settings?.muted_until ?? 0) > client.now();
    const draft = !isOpen && settings?.draft;
    const who =
      last && !last.system && !last.own && view.kind === "group" ? `${memberName(client, view, last.sender)}: ` : "";
    const preview = draft
      ? `Draft: ${draft}`
      : last
        ? `${last.own && !last.system ? "You: " : who}${previewOf(this.app, view, last)}`
        : "";
    fill(
      link,
      sign,
      el(
        "span",
        { class: "row-main" },
        el(
          "span",
          { class: "row-top" },
          el("bdi", { class: "row-name" }, name),
          status && status !== "offline" && el("span", { class: "hidden" }, `, ${status}`),
          settings?.pinned_at && mark("pin", "pinned"),
          isMuted && mark("muted", "muted"),
          el("time", { class: "row-time" }, last ? shortTime(last.created_at, client.now()) : ""),
        ),
        el(
          "span",
          { class: "row-bottom" },
          el("span", { class: draft ? "row-preview draft" : "row-preview", dir: "auto" }, preview.slice(0, 200)),
          last?.state === "failed" && mark("warning", "not sent"),
          mentions > 0 &&
            el("span", { class: "count mention" }, "@", el("span", { class: "hidden" }, " you are mentioned")),
          unread > 0 &&
            el(
              "span",
              { class: isMuted ? "count muted" : "count" },
              unread > 999 ? "999+" : unread,
              hiddenText(unread),
            ),
        ),
      ),
    );
  }
}

const hiddenText = (unread: number): HTMLElement =>
  el("span", { class: "hidden" }, unread === 1 ? " unread message" : " unread messages");

const mark = (name: "pin" | "muted" | "warning", text: string): HTMLElement =>
  el("span", { class: "row-mark", title: text }, icon(name), el("span", { class: "hidden" }, text));

export const unreadTitle = (unread: number): string => (unread ? `(${unread}) chatd demo` : "chatd demo");
