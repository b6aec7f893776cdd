// The badge that says how live the page is, and the warning that messages may be lost with the page.
import type { OutboxEntry, Status } from "@chatd/client";
import type { App } from "./app.js";
import { el, Ends, fill, set, type View } from "./dom.js";
import { count } from "./format.js";

interface Shown {
  state: string;
  text: string;
}

function badgeOf({ state, syncing, maintenance, transport }: Status): Shown {
  if (state === "offline") return { state, text: "Offline" };
  if (state === "reconnecting") return { state, text: "Reconnecting…" };
  if (maintenance) return { state: "polling", text: "Maintenance: some functions are paused" };
  if (state === "polling") return { state, text: "Live updates limited: asking every few seconds" };
  if (syncing) return { state: "syncing", text: "Catching up…" };
  return { state, text: transport === "sse" ? "Live updates enabled (without WebSocket)" : "Live updates enabled" };
}

export function liveBadge({ client }: App): View<void> {
  const text = el("span", { class: "badge-text" });
  const node = el("div", { class: "badge", role: "status" }, el("span", { class: "dot" }), text);
  const ends = new Ends();
  let shown = "";
  const update = (): void => {
    const { state, text: words } = badgeOf(client.status.get());
    const waiting = client.outbox.get().length;
    const all = waiting ? `${words} · ${count(waiting, "message")} to send` : words;
    if (shown === all) return;
    shown = all;
    set(node, "data-state", state);
    set(node, "title", all);
    fill(text, all);
  };
  ends.add(client.status.subscribe(update));
  ends.add(client.outbox.subscribe(update));
  update();
  return { node, update, stop: () => ends.run() };
}

/** Storage that is full or denied. Leaving the page with unsent messages is asked about. */
export function storageWarning({ client }: App): View<void> {
  const node = el("p", { class: "banner", role: "status" });
  const ends = new Ends();
  const isAtRisk = (entries: readonly OutboxEntry[]): boolean =>
    client.status.get().storage === "memory" && entries.length > 0;
  const update = (): void => {
    const { storage, storageError } = client.status.get();
    node.hidden = storage === "persistent";
    const why = storageError ? ` (${storageError})` : "";
    const text = `This browser keeps nothing for this page${why}. Unsent messages are lost when you close it.`;
    if (!node.hidden && node.textContent !== text) fill(node, text);
  };
  ends.listen(window, "beforeunload", (event) => {
    if (isAtRisk(client.outbox.get())) event.preventDefault();
  });
  ends.add(client.status.subscribe(update));
  update();
  return { node, update, stop: () => ends.run() };
}
