// What can be done with a message: the items of its menu, and the keys that do the same.
import type { ChatMessage } from "@chatd/client";
import { attempt, memberName, newClientId, toast } from "./app.js";
import { button, field, form, select, submitButton } from "./controls.js";
import { confirmed, openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { count, fullTime, NAMELESS } from "./format.js";
import { openMenu, type MenuItem } from "./menu.js";
import type { Thread } from "./message.js";
import { QUICK, showReactors } from "./reactions.js";
import { openReport } from "./report.js";

/** What the menu needs of the view around the thread. */
export interface Around {
  reply(message: ChatMessage): void;
  edit(message: ChatMessage): void;
  /** From a message to where messages are written. */
  leave(): void;
  /** Undefined where there are no threads, such as in a thread. */
  openThread?(message: ChatMessage): void;
}

export function openMessageMenu(thread: Thread, around: Around, message: ChatMessage, anchor: HTMLElement): void {
  const { id } = message;
  if (!id) return openMenu(anchor, "Message", waitingItems(thread, message));
  if (message.deleted_at) return openMenu(anchor, "Message", [forMe(thread, id)]);
  const signs = Object.entries(QUICK).map(([sign, name]): MenuItem => ({
    sign,
    text: `React: ${name}`,
    act: () => react(thread, message, sign),
  }));
  openMenu(anchor, "Message", itemsOf(thread, around, message, id), signs);
}

function itemsOf(thread: Thread, around: Around, message: ChatMessage, id: string): MenuItem[] {
  const { app, handle } = thread;
  const { client } = app;
  const view = thread.view();
  const isModerator = view?.kind === "group" && view.role !== "member";
  const items: (MenuItem | false | undefined | null | "" | 0)[] = [
    { text: "Reply", act: () => around.reply(message) },
    around.openThread && !message.thread && { text: "Reply in a thread", act: () => around.openThread?.(message) },
    canEdit(message) && { text: "Edit", act: () => around.edit(message) },
    message.text && {
      text: "Copy text",
      act: () => void attempt(() => navigator.clipboard.writeText(message.text ?? ""), "Copied."),
    },
    {
      text: message.starred_at ? "Remove star" : "Star",
      act: () => void attempt(() => handle.star(id, !message.starred_at)),
    },
    (isModerator || view?.kind === "direct") && {
      text: message.pinned_at ? "Unpin" : "Pin",
      act: () =>
        void attempt(() =>
          client.call(message.pinned_at ? "message.unpin" : "message.pin", {
            conversation: handle.id,
            message: id,
          }),
        ),
    },
    { text: "Forward", act: () => forward(thread, id) },
    message.own && { text: "Read by", act: () => showReceipts(thread, id) },
    message.reactions &&
      Object.keys(message.reactions).length > 0 && { text: "Reactions", act: () => showReactors(thread, id) },
    message.edited_at && { text: "Earlier versions", act: () => showVersions(thread, id) },
    !message.own && { text: "Report", act: () => openReport(app, { conversation: handle.id, message: id }) },
    forMe(thread, id),
    (message.own || isModerator) && {
      text: "Delete for everybody",
      act: () => void deleteForAll(thread, id),
      isDangerous: true,
    },
  ];
  return items.filter((item): item is MenuItem => Boolean(item));
}

function waitingItems({ handle }: Thread, { client_id, state }: ChatMessage): MenuItem[] {
  const discard: MenuItem = { text: "Discard", act: () => handle.discard(client_id), isDangerous: true };
  return state === "failed" ? [{ text: "Try again", act: () => handle.retry(client_id) }, discard] : [discard];
}

const canEdit = ({ own, poll, text, forwarded }: ChatMessage): boolean => own && !poll && !forwarded && text !== null;

const forMe = ({ handle }: Thread, id: string): MenuItem => ({
  text: "Delete for me",
  act: () => void attempt(() => handle.delete(id, false)),
});

function react({ handle }: Thread, { id, mine }: ChatMessage, emoji: string): void {
  if (id) void attempt(() => handle.react(id, emoji, !mine?.includes(emoji)));
}

async function deleteForAll({ handle }: Thread, id: string): Promise<void> {
  if (await confirmed("Nobody will be able to read this message any more.", "Delete"))
    await attempt(() => handle.delete(id));
}

/** The keys of a message that has the focus. */
export function onMessageKey(
  thread: Thread,
  around: Around,
  event: KeyboardEvent,
  message: ChatMessage,
  node: HTMLElement,
): void {
  const actions: Record<string, () => void> = {
    Enter: () => openMessageMenu(thread, around, message, node),
    " ": () => openMessageMenu(thread, around, message, node),
    Escape: () => around.leave(),
    "+": () => react(thread, message, "👍"),
  };
  if (message.id && !message.deleted_at) {
    actions.r = () => around.reply(message);
    if (around.openThread && !message.thread) actions.t = () => around.openThread?.(message);
    if (canEdit(message)) actions.e = () => around.edit(message);
    if (message.own) actions.Delete = () => void deleteForAll(thread, message.id ?? "");
  }
  const act = actions[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function showReceipts(thread: Thread, message: string): void {
  const place = el("div", { class: "stack" }, "Loading…");
  openDialog("Read by", () => place);
  void attempt(async () => {
    const receipts = await thread.app.client.call("message.receipts", {
      conversation: thread.handle.id,
      message,
      limit: 100,
    });
    const list = (title: string, people: typeof receipts.read): HTMLElement[] =>
      people.length
        ? [
            el("h3", {}, title),
            el(
              "ul",
              { class: "people" },
              people.map(({ name }) => el("li", {}, el("bdi", {}, name ?? NAMELESS))),
            ),
          ]
        : [];
    const { members, read, delivered } = receipts.counts;
    const rest = members - read - delivered;
    place.replaceChildren(
      ...list("Read", receipts.read),
      ...list("Delivered", receipts.delivered),
      el("p", { class: "hint" }, rest ? `${count(rest, "member")} without it` : "Everybody has it."),
    );
  });
}

function showVersions(thread: Thread, message: string): void {
  const list = el("ol", { class: "versions" });
  openDialog("Earlier versions", () => list);
  void attempt(async () => {
    const { items } = await thread.app.client.call("message.edits", { conversation: thread.handle.id, message });
    for (const { text, until } of items)
      list.append(
        el("li", {}, el("p", { class: "text", dir: "auto" }, text ?? ""), el("small", {}, `until ${fullTime(until)}`)),
      );
  });
}

function forward(thread: Thread, message: string): void {
  const { client } = thread.app;
  const targets = client.conversations
    .get()
    .items.filter(({ id, kind }) => id !== thread.handle.id && kind !== "match");
  if (!targets.length) return toast("There is no other conversation yet.");
  const options = Object.fromEntries(targets.slice(0, 200).map((one) => [one.id, one.name || NAMELESS]));
  const choice = select(targets[0]?.id ?? "", options, () => {});
  openDialog("Forward", (dialog) => {
    const send = (): void => {
      const fields = { conversation: choice.value, client_id: newClientId(), source: thread.handle.id, message };
      void attempt(() => client.call("message.forward", fields), "Forwarded.").then(
        (isDone) => isDone && dialog.close(),
      );
    };
    return form(
      send,
      { class: "stack" },
      field("To", choice),
      el("div", { class: "buttons end" }, button("Cancel", dialog.close), submitButton("Forward")),
    );
  });
}

/** "Forwarded from Ann". */
export function forwardedFrom({ app, view }: Thread, { forwarded }: ChatMessage): HTMLElement | null {
  if (!forwarded) return null;
  const name = forwarded.sender === app.client.user ? "you" : memberName(app.client, view(), forwarded.sender);
  return el("p", { class: "hint" }, "Forwarded from ", el("bdi", {}, name));
}
