// What is shown while no conversation is open: how to find somebody to write to.
import type { App } from "./app.js";
import { button } from "./controls.js";
import { el, fill } from "./dom.js";
import { openNewConversation, ownLink } from "./new-conversation.js";
import { go } from "./routes.js";

export class StartPage {
  readonly node: HTMLElement;
  private readonly title = el("h2", { tabindex: -1 }, "Welcome");
  private readonly link = el("div", {});
  private isOver = false;

  constructor(private readonly app: App) {
    this.node = el(
      "main",
      { class: "pane start" },
      el(
        "div",
        { class: "stack narrow" },
        this.title,
        el(
          "p",
          {},
          "This is chatd, a chat server. Open a tab as another person and write to yourself, or meet a stranger.",
        ),
        this.link,
        el(
          "div",
          { class: "buttons" },
          button("New conversation", () => openNewConversation(app), { class: "button primary" }),
          button("Meet a stranger", () => go("#/strangers")),
        ),
      ),
    );
  }

  start(): void {
    // The id of the user is known with the first connection.
    void this.app.client.connected().then(
      () => this.isOver || fill(this.link, ownLink(this.app)),
      () => {},
    );
  }

  stop(): void {
    this.isOver = true;
  }

  focus(): void {
    this.title.focus();
  }
}
