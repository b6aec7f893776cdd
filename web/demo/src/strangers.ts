// Strangers: the search for a partner, and what can be done with one.
import type { ConversationHandle, MatchState } from "@chatd/client";
import { announce, attempt, type App } from "./app.js";
import { button, field, form, submitButton } from "./controls.js";
import { confirmed } from "./dialog.js";
import { el, Ends, fill } from "./dom.js";
import { count } from "./format.js";
import { openReport } from "./report.js";
import { go, pathOf } from "./routes.js";

const REASONS: Record<string, string> = {
  cancelled: "The search was cancelled.",
  disconnected: "The connection was lost for too long.",
  expired: "Nobody was found. Try again, or with fewer interests.",
  failed: "The search could not begin.",
  left: "The stranger has left.",
  skipped: "The stranger has moved on.",
};

export class StrangersPage {
  readonly node: HTMLElement;
  private readonly title = el("h2", { tabindex: -1 }, "Meet a stranger");
  private readonly place = el("div", { class: "stack" });
  private readonly tags = el("input", { type: "text", dir: "auto", placeholder: "chess, music", maxlength: 200 });
  private readonly ends = new Ends();
  private shown = "";

  constructor(private readonly app: App) {
    const back = button("Back to the list", () => go("#/"), { class: "button back" });
    this.node = el("main", { class: "pane start" }, el("div", { class: "stack narrow" }, this.title, this.place, back));
  }

  start(): void {
    this.ends.add(this.app.client.match.subscribe((state) => this.update(state)));
    this.update(this.app.client.match.get());
  }

  stop(): void {
    this.ends.run();
  }

  focus(): void {
    this.title.focus();
  }

  private update(state: MatchState): void {
    const { phase, match, waiting, proposal, reason } = state;
    if (phase === "matched" && match) {
      announce("A stranger was found.");
      return go(pathOf(match.conversation));
    }
    const key = JSON.stringify([phase, waiting, reason, proposal?.match]);
    if (key === this.shown) return;
    this.shown = key;
    const { client } = this.app;
    const cancel = button("Cancel the search", () => void attempt(() => client.match.cancel()));
    if (phase === "proposed") {
      const confirm = button("Accept", () => void attempt(() => client.match.confirm()), {
        class: "button primary",
      });
      fill(
        this.place,
        el("p", { role: "status" }, "Somebody was found. Do you want to meet them?"),
        el("div", { class: "buttons" }, confirm, cancel),
      );
      confirm.focus();
    } else if (phase === "searching") {
      const others = waiting === null ? "" : ` ${count(waiting, "user waits", "users wait")} in the queue.`;
      fill(
        this.place,
        el("progress", { "aria-label": "Searching" }),
        el("p", { role: "status" }, `Searching for a stranger…${others}`),
        cancel,
      );
      cancel.focus();
    } else fill(this.place, this.searchForm(reason));
  }

  private searchForm(reason: string | null): HTMLElement {
    const find = (): void => {
      const tags = this.tags.value
        .split(/[,\s]+/)
        .filter(Boolean)
        .slice(0, 10);
      void attempt(() => this.app.client.match.find(tags.length ? { tags } : {}));
    };
    return form(
      find,
      { class: "stack" },
      reason && reason !== "kept" && el("p", { role: "status" }, REASONS[reason] ?? `The match has ended (${reason}).`),
      el(
        "p",
        {},
        "The other one sees your name and an alias. Nobody can find you again, unless both of you keep in touch.",
      ),
      field(
        "Interests (optional)",
        this.tags,
        "Separated by commas. You meet somebody who shares one, if there is somebody.",
      ),
      el("div", { class: "buttons" }, submitButton("Find a stranger")),
    );
  }
}

/** What can be done with the stranger of an open conversation. */
export function strangerBar(app: App, handle: ConversationHandle): HTMLElement {
  const { client } = app;
  const kept = el("span", { role: "status" });
  const keep = async (): Promise<void> => {
    if (await attempt(() => client.match.keep()))
      fill(kept, "You want to keep in touch. The conversation stays if the stranger wants that, too.");
  };
  const skip = async (): Promise<void> => {
    if (await attempt(() => client.match.skip())) go("#/strangers");
  };
  const end = async (): Promise<void> => {
    if (await attempt(() => client.match.end())) go("#/strangers");
  };
  const partner = (): string => handle.get().conversation?.partner?.user ?? client.match.get().match?.partner.id ?? "";
  const block = async (): Promise<void> => {
    if (!(await confirmed("You will not be matched with this stranger again. This ends the match.", "Block"))) return;
    if (await attempt(() => client.call("user.block", { user: partner() }), "Blocked.")) go("#/strangers");
  };
  return el(
    "div",
    { class: "stranger-bar", role: "group", "aria-label": "Stranger" },
    button("Next stranger", () => void skip()),
    button("Keep in touch", () => void keep()),
    button("End", () => void end()),
    button("Report", () => openReport(app, { user: partner(), conversation: handle.id })),
    button("Block", () => void block(), { class: "button danger" }),
    kept,
  );
}
