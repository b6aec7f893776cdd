// The search: conversations by name, users by handle, and messages.
import { memberName, titleOf, type App } from "./app.js";
import { iconButton } from "./controls.js";
import { el, Ends, fill, type Child } from "./dom.js";
import { NAMELESS, shortTime } from "./format.js";
import { pathOf } from "./routes.js";

const SOON_MS = 250;
const MAX_SHOWN = 5;

export class Search {
  readonly node: HTMLElement;
  readonly results = el("div", { class: "results", hidden: true });
  private readonly input = el("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search",
    dir: "auto",
    maxlength: 200,
  });
  private readonly scopeBar = el("div", { class: "scope", hidden: true });
  private readonly ends = new Ends();
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The conversation that is searched; null for all. */
  private scope: string | null = null;
  private asked = 0;

  /** `shown`: called when the results appear or go. */
  constructor(
    private readonly app: App,
    private readonly shown: (isShown: boolean) => void,
  ) {
    this.node = el("div", { class: "search", role: "search" }, this.scopeBar, this.input);
    this.input.addEventListener("input", () => this.soon());
    // A conversation that is chosen ends the search; of messages, the user may look at several.
    this.results.addEventListener("click", ({ target }) => {
      if ((target as Element).closest("a.hit:not(.in-message)")) this.end();
    });
    for (const node of [this.node, this.results]) node.addEventListener("keydown", (event) => this.onKey(event));
  }

  stop(): void {
    clearTimeout(this.timer);
    this.ends.run();
  }

  /** Begins a search, in one conversation or in all. */
  begin(scope: string | null = null): void {
    this.scope = scope;
    const view = scope ? this.app.client.conversation(scope).get().conversation : undefined;
    const all = (): void => this.begin();
    fill(this.scopeBar, scope && ["In ", el("bdi", {}, titleOf(view)), iconButton("close", "Search everywhere", all)]);
    this.scopeBar.hidden = !scope;
    this.input.focus();
    this.input.select();
    if (this.input.value) this.soon();
  }

  end(): void {
    this.input.value = "";
    this.scope = null;
    this.scopeBar.hidden = true;
    this.show(null);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      event.preventDefault();
      this.end();
      this.input.focus();
      return;
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const all = [this.input, ...this.results.querySelectorAll<HTMLElement>("a, button")];
    const at = all.indexOf(document.activeElement as HTMLElement);
    all[Math.max(0, Math.min(all.length - 1, at + (event.key === "ArrowDown" ? 1 : -1)))]?.focus();
  }

  private soon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), SOON_MS);
  }

  private show(content: Child): void {
    fill(this.results, content);
    this.results.hidden = content === null;
    this.shown(content !== null);
  }

  private async run(): Promise<void> {
    const query = this.input.value.trim();
    const asked = ++this.asked;
    if (!query) return this.show(null);
    const [people, messages] = await Promise.all([this.people(query), this.messages(query)]);
    if (asked !== this.asked) return;
    const found = [this.conversations(query), people, messages].filter((part) => part !== null);
    this.show([
      el("p", { class: "hidden", role: "status" }, `${found.length ? "" : "No "}results`),
      found.length ? found : el("p", { class: "list-empty" }, "Nothing was found."),
    ]);
  }

  private conversations(query: string): Child {
    if (this.scope) return null;
    const wanted = query.toLocaleLowerCase();
    const { items } = this.app.client.conversations.get();
    const found = items.filter((one) => titleOf(one).toLocaleLowerCase().includes(wanted)).slice(0, MAX_SHOWN);
    return section(
      "Conversations",
      found.map((one) => hit(pathOf(one.id), titleOf(one), "")),
    );
  }

  private async people(query: string): Promise<Child> {
    if (this.scope) return null;
    // The server may not allow it.
    const found = await this.app.client.call("user.search", { query, limit: MAX_SHOWN }).catch(() => null);
    return section(
      "People",
      (found?.items ?? []).map(({ id, name, handle }) =>
        hit(`#/with/${id}`, name ?? NAMELESS, handle ? `@${handle}` : ""),
      ),
    );
  }

  private async messages(query: string): Promise<Child> {
    const { client } = this.app;
    const found = await client.call("message.search", { query, conversation: this.scope, limit: 30 }).catch(() => null);
    const hits = (found?.items ?? []).map(({ conversation, message, highlights }) => {
      const view = client.conversation(conversation).get().conversation;
      const who = message.sender === client.knownAs(conversation) ? "You" : memberName(client, view, message.sender);
      const path = `${pathOf(conversation)}/${message.seq}`;
      const text = [`${who}: `, marked(message.text ?? "", highlights)];
      return hit(path, view ? titleOf(view) : who, text, shortTime(message.created_at, client.now()));
    });
    return section("Messages", hits);
  }
}

function section(title: string, hits: HTMLElement[]): Child {
  return hits.length ? el("section", {}, el("h3", {}, title), el("ul", {}, hits)) : null;
}

/** A hit. Those in messages have a time. */
const hit = (path: string, title: string, text: Child, time = ""): HTMLElement =>
  el(
    "li",
    {},
    el(
      "a",
      { class: time ? "hit in-message" : "hit", href: path },
      el(
        "span",
        { class: "row-top" },
        el("bdi", { class: "row-name" }, title),
        el("time", { class: "row-time" }, time),
      ),
      el("span", { class: "hit-text", dir: "auto" }, text),
    ),
  );

/** The text around the first match. The ranges are in code points. */
function marked(text: string, ranges: readonly number[][]): Child[] {
  const signs = [...text];
  const start = Math.max(0, (ranges[0]?.[0] ?? 0) - 30);
  const end = Math.min(signs.length, start + 140);
  const parts: Child[] = [start > 0 && "…"];
  let at = start;
  for (const [from = 0, to = 0] of ranges) {
    if (from < at || to > end) continue;
    parts.push(signs.slice(at, from).join(""), el("mark", {}, signs.slice(from, to).join("")));
    at = to;
  }
  return [...parts, signs.slice(at, end).join(""), end < signs.length && "…"];
}
