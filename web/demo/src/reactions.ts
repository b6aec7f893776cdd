// Reactions below a message, and who has reacted.
import type { ChatMessage } from "@chatd/client";
import { attempt } from "./app.js";
import { openDialog } from "./dialog.js";
import { el, type Child } from "./dom.js";
import { count, NAMELESS } from "./format.js";
import type { Thread } from "./message.js";

/** What the menu offers, with the names that screen readers say. */
export const QUICK = {
  "👍": "thumbs up",
  "❤️": "heart",
  "😂": "laughing",
  "😮": "surprised",
  "😢": "sad",
  "🙏": "thank you",
};

export function reactionsOf(thread: Thread, { id, reactions, mine, deleted_at }: ChatMessage): Child {
  const all = Object.entries((reactions ?? {}) as Record<string, number>);
  if (!id || deleted_at || !all.length) return null;
  return el(
    "div",
    { class: "reactions", role: "group", "aria-label": "Reactions" },
    all.map(([emoji, number]) => {
      const isMine = mine?.includes(emoji) ?? false;
      const label = `${emoji}, ${count(number, "reaction")}${isMine ? ", also yours" : ""}`;
      const toggle = (): void => void attempt(() => thread.handle.react(id, emoji, !isMine));
      const attributes = {
        "aria-pressed": String(isMine),
        "aria-label": label,
        "data-control": `react ${emoji}`,
      };
      return el(
        "button",
        { type: "button", class: "reaction", ...attributes, on: { click: toggle } },
        emoji,
        " ",
        el("span", {}, number),
      );
    }),
  );
}

export function showReactors({ app, handle }: Thread, message: string): void {
  const list = el("ul", { class: "people" });
  openDialog("Reactions", () => list);
  void attempt(async () => {
    const { items } = await app.client.call("reaction.list", { conversation: handle.id, message, limit: 100 });
    for (const { name, emoji } of items)
      list.append(el("li", {}, el("bdi", {}, name ?? NAMELESS), el("span", {}, emoji.join(" "))));
  });
}
