// The frame of the app: the bar with the badge, the list, and the open view.
import { attempt, type App } from "./app.js";
import { liveBadge, storageWarning } from "./badge.js";
import { el, Ends, fill, set } from "./dom.js";
import { ConversationPage } from "./conversation.js";
import { ConversationList, unreadTitle } from "./list.js";
import { currentRoute, go, pathOf, type Route } from "./routes.js";
import { StartPage } from "./start.js";

/** The view beside the list. */
export interface Page {
  readonly node: HTMLElement;
  /** The conversation that is open. */
  readonly id?: string;
  start(): void;
  stop(): void;
  focus(): void;
}

export class Shell {
  readonly node: HTMLElement;
  private readonly list: ConversationList;
  private readonly place = el("div", { class: "place" });
  private readonly badge;
  private readonly warning;
  private readonly ends = new Ends();
  private page: Page | null = null;

  constructor(private readonly app: App) {
    this.list = new ConversationList(app);
    this.badge = liveBadge(app);
    this.warning = storageWarning(app);
    const skip = el("button", { type: "button", class: "skip", on: { click: () => this.page?.focus() } }, "Skip to the conversation");
    const bar = el("header", { class: "bar" }, el("h1", {}, "chatd demo"), this.badge.node);
    this.node = el(
      "div",
      { class: "shell" },
      skip,
      bar,
      this.warning.node,
      el("div", { class: "columns" }, el("div", { class: "side" }, this.list.node), this.place),
    );
  }

  start(): void {
    this.list.start();
    this.ends.listen(window, "hashchange", () => this.route());
    this.ends.listen(document, "keydown", (event) => this.onKey(event as KeyboardEvent));
    const { conversations } = this.app.client;
    this.ends.add(conversations.subscribe(({ unread }) => (document.title = unreadTitle(unread))));
    this.route();
  }

  stop(): void {
    this.ends.run();
    this.page?.stop();
    this.list.stop();
    this.badge.stop?.();
    this.warning.stop?.();
    document.title = "chatd demo";
  }

  private route(): void {
    const route = currentRoute();
    if (route.view === "with") void this.openWith(route.user);
    else this.show(route);
  }

  private async openWith(user: string): Promise<void> {
    this.show({ view: "start" });
    const isDone = await attempt(async () => go(pathOf((await this.app.client.open(user)).id), true));
    if (!isDone) go("#/", true);
  }

  private show(route: Route): void {
    if (route.view === "conversation" && this.page?.id === route.id) return;
    this.page?.stop();
    this.page = route.view === "conversation" ? new ConversationPage(this.app, route.id) : new StartPage(this.app);
    set(this.node, "data-view", route.view);
    fill(this.place, this.page.node);
    this.page.start();
    this.list.select(route.view === "conversation" ? route.id : null);
    if (route.view !== "start") this.page.focus();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      const id = this.list.neighbour(event.key === "ArrowUp" ? -1 : 1);
      event.preventDefault();
      if (id) go(pathOf(id));
    }
  }
}
