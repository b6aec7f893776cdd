// Requests of users who need consent to write, or to add this user to a group.
import type { ContactRequest } from "@chatd/client";
import { attempt, type App } from "./app.js";
import { button } from "./controls.js";
import { openDialog } from "./dialog.js";
import { el, Ends, fill, type View } from "./dom.js";
import { count, NAMELESS } from "./format.js";

/** A button above the list while there are requests. */
export function requestsButton(app: App): View<void> {
  const { client } = app;
  const ends = new Ends();
  let items: readonly ContactRequest[] = [];
  const node = button("", () => openRequests(app, () => items, load), { class: "button requests", hidden: true });
  const load = async (): Promise<void> => {
    ({ items } = await client.call("request.list", { limit: 50 }));
    node.hidden = items.length === 0;
    fill(node, count(items.length, "request"));
  };
  const update = (): void => void load().catch(() => {});
  ends.add(client.on("request.new", update));
  ends.add(client.on("session.changed", update));
  update();
  return { node, update, stop: () => ends.run() };
}

function openRequests({ client }: App, items: () => readonly ContactRequest[], load: () => Promise<void>): void {
  const list = el("ul", { class: "people" });
  const decide = (name: "request.accept" | "request.decline" | "request.block", conversation: string): void =>
    void attempt(async () => {
      await client.call(name, { conversation });
      await load();
      show();
    });
  const show = (): void => {
    fill(
      list,
      items().map(({ conversation, kind, name, title, messages }) => {
        const who = name ?? NAMELESS;
        const act = (text: string, command: Parameters<typeof decide>[0]): HTMLElement =>
          button(text, () => decide(command, conversation), { "aria-label": `${text}: ${who}` });
        return el(
          "li",
          { class: "request" },
          el(
            "p",
            {},
            el("bdi", {}, who),
            kind === "group" ? " adds you to the group " : " writes to you",
            kind === "group" && el("bdi", {}, title ?? "without a name"),
          ),
          messages.map(({ text }) => el("p", { class: "request-text", dir: "auto" }, (text ?? "").slice(0, 300))),
          el(
            "div",
            { class: "buttons" },
            act("Accept", "request.accept"),
            act("Decline", "request.decline"),
            act("Block", "request.block"),
          ),
        );
      }),
    );
  };
  openDialog("Requests", () => list);
  show();
  // What was written since the request.
  void attempt(() => load().then(show));
}
