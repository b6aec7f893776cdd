// The frame of the app: the bar with the badge, the list, and the open view.
import { attempt, toast, type App } from "./app.js";
import { liveBadge, storageWarning } from "./badge.js";
import { iconButton } from "./controls.js";
import { ConversationPage } from "./conversation.js";
import { el, Ends, fill, set } from "./dom.js";
import { openHelp } from "./help.js";
import { ConversationList, unreadTitle } from "./list.js";
import { openNewConversation } from "./new-conversation.js";
import { requestsButton } from "./requests.js";
import { currentRoute, go, pathOf, type Route } from "./routes.js";
import { Search } from "./search.js";
import { SettingsPage } from "./settings.js";
import { StartPage } from "./start.js";
import { StrangersPage } from "./strangers.js";

/** The view beside the list. */
interface Page {
  readonly node: HTMLElement;
  start(): void;
  stop(): void;
  focus(): void;
}

export class Shell {
  readonly node: HTMLElement;
  private readonly list: ConversationList;
  private readonly search: Search;
  private readonly place = el("div", { class: "place" });
  private readonly side: HTMLElement;
  private readonly badge;
  private readonly warning;
  private readonly requests;
  private readonly ends = new Ends();
  private page: Page | null = null;

  constructor(private readonly app: App) {
    this.list = new ConversationList(app);
    this.search = new Search(app, (isShown) => (this.list.node.hidden = isShown));
    this.badge = liveBadge(app);
    this.warning = storageWarning(app);
    this.requests = requestsButton(app);
    const skip = el(
      "button",
      { type: "button", class: "skip", on: { click: () => this.page?.focus() } },
      "Skip to the conversation",
    );
    const bar = el(
      "header",
      { class: "bar" },
      el("h1", {}, "chatd demo"),
      this.badge.node,
      iconButton("shuffle", "Strangers", () => go("#/strangers")),
      iconButton("help", "Keyboard help", openHelp),
      iconButton("settings", "Settings", () => go("#/settings")),
    );
    const begin = iconButton("plus", "New conversation", () => openNewConversation(app), {
      class: "icon-button primary",
    });
    this.side = el(
      "div",
      { class: "side" },
      el("div", { class: "side-top" }, this.search.node, begin),
      this.requests.node,
      this.search.results,
      this.list.node,
    );
    this.node = el(
      "div",
      { class: "shell" },
      skip,
      bar,
      this.warning.node,
      el("div", { class: "columns" }, this.side, this.place),
    );
  }

  start(): void {
    const { app } = this;
    this.list.start();
    this.ends.listen(window, "hashchange", () => this.route());
    this.ends.listen(window, "beforeunload", (event) => {
      if ([...app.trays.values()].some((tray) => !tray.isEmpty)) event.preventDefault();
    });
    this.ends.listen(document, "keydown", (event) => this.onKey(event as KeyboardEvent));
    const { conversations } = this.app.client;
    this.ends.add(conversations.subscribe(({ unread }) => (document.title = unreadTitle(unread))));
    this.route();
  }

  stop(): void {
    this.ends.run();
    this.page?.stop();
    this.list.stop();
    this.search.stop();
    for (const view of [this.badge, this.warning, this.requests]) view.stop?.();
    document.title = "chatd demo";
  }

  private route(): void {
    const route = currentRoute();
    const { client } = this.app;
    if (route.view === "with") {
      this.show({ view: "start" });
      void this.open(async () => (await client.open(route.user)).id);
    } else if (route.view === "join") {
      this.show({ view: "start" });
      void this.open(async () => {
        const { conversation } = await client.call("conversation.join", { secret: route.secret });
        if (!conversation) toast("A member has to let you in.");
        return conversation?.id ?? null;
      });
    } else this.show(route);
  }

  private async open(find: () => Promise<string | null>): Promise<void> {
    let id: string | null = null;
    await attempt(async () => (id = await find()));
    go(id ? pathOf(id) : "#/", true);
  }

  private show(route: Exclude<Route, { view: "with" | "join" }>): void {
    const page = this.pageOf(route);
    if (page !== this.page) {
      this.page?.stop();
      this.page = page;
      set(this.node, "data-view", route.view);
      fill(this.place, page.node);
      page.start();
      this.list.select(route.view === "conversation" ? route.id : null);
      if (route.view !== "start") page.focus();
      else if (document.activeElement === document.body) this.list.focus();
    }
    if (route.view === "conversation" && route.seq && page instanceof ConversationPage) page.find(route.seq);
  }

  private pageOf(route: Exclude<Route, { view: "with" | "join" }>): Page {
    const { app } = this;
    if (route.view === "strangers") return new StrangersPage(app);
    if (route.view === "settings") return new SettingsPage(app);
    if (route.view !== "conversation") return new StartPage(app);
    if (this.page instanceof ConversationPage && this.page.id === route.id) return this.page;
    return new ConversationPage(app, route.id, (id) => this.search.begin(id));
  }

  private onKey(event: KeyboardEvent): void {
    const isWriting = (event.target as Element).matches("input, textarea, select");
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      const id = this.list.neighbour(event.key === "ArrowUp" ? -1 : 1);
      event.preventDefault();
      return void (id && go(pathOf(id)));
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys: Record<string, () => void> = { F6: () => this.switchSides() };
    if (!isWriting)
      Object.assign(keys, {
        "?": openHelp,
        "/": () => this.search.begin(),
        n: () => openNewConversation(this.app),
      });
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  private switchSides(): void {
    if (this.side.contains(document.activeElement)) this.page?.focus();
    else {
      if (this.list.node.hidden) this.search.end();
      this.list.focus();
    }
  }
}
