// What is shown while no conversation is open: how to find somebody to write to.
import { attempt, type App } from "./app.js";
import { button, field } from "./controls.js";
import { el, Ends } from "./dom.js";
import { otherPerson } from "./routes.js";

export class StartPage {
  readonly node: HTMLElement;
  private readonly title = el("h2", { tabindex: -1 }, "Welcome");
  private readonly ends = new Ends();
  private readonly link = el("input", { type: "text", readonly: true, dir: "ltr" });
  private readonly other = el("a", { class: "button primary", target: "_blank" }, "Open a tab as another person");

  constructor(private readonly app: App) {
    this.node = el(
      "main",
      { class: "pane start" },
      el(
        "div",
        { class: "stack narrow" },
        this.title,
        el("p", {}, "Send this link to somebody, who can then write to you:"),
        field("Your link", this.link),
        el("div", { class: "buttons" }, button("Copy the link", () => void this.copy()), this.other),
      ),
    );
  }

  start(): void {
    this.ends.add(this.app.client.status.subscribe(() => this.update()));
    this.update();
  }

  stop(): void {
    this.ends.run();
  }

  focus(): void {
    this.title.focus();
  }

  private update(): void {
    const { user } = this.app.client;
    if (!user || this.link.value.endsWith(user)) return;
    this.link.value = `${location.origin}/#/with/${user}`;
    this.other.href = otherPerson(`#/with/${user}`);
  }

  private async copy(): Promise<void> {
    this.link.select();
    await attempt(() => navigator.clipboard.writeText(this.link.value), "The link is copied.");
  }
}
