// Polls: how one is made, and how it is shown and voted in.
import type { ChatMessage } from "@chatd/client";
import { attempt, newClientId, type App } from "./app.js";
import { button, field, form, submitButton } from "./controls.js";
import { confirmed, openDialog } from "./dialog.js";
import { el, fill, newId, type Child } from "./dom.js";
import { count, fullTime, NAMELESS } from "./format.js";
import type { Thread } from "./message.js";

const MAX_OPTIONS = 20;
const MAX_OPTION = 100;

export function openNewPoll({ client }: App, conversation: string): void {
  const question = el("input", { type: "text", dir: "auto", maxlength: 1000 });
  const options = el("div", { class: "stack" });
  const error = el("p", { class: "error", role: "alert" });
  const multiple = el("input", { type: "checkbox" });
  const anonymous = el("input", { type: "checkbox" });
  const add = (): HTMLInputElement => {
    const number = options.childElementCount + 1;
    const input = el("input", { type: "text", dir: "auto", maxlength: MAX_OPTION });
    options.append(field(`Option ${number}`, input));
    more.hidden = number >= MAX_OPTIONS;
    return input;
  };
  const more = button("Add an option", () => add().focus());
  add();
  add();
  openDialog("New poll", (dialog) => {
    const send = async (): Promise<void> => {
      const texts = [...options.querySelectorAll("input")].map(({ value }) => value.trim()).filter(Boolean);
      if (!question.value.trim() || texts.length < 2) return fill(error, "A poll needs a question and two options.");
      if (new Set(texts).size < texts.length) return fill(error, "Two options are the same.");
      const flags = { multiple: multiple.checked, anonymous: anonymous.checked };
      const fields = {
        conversation,
        client_id: newClientId(),
        question: question.value.trim(),
        options: texts,
        ...flags,
      };
      if (await attempt(() => client.call("poll.create", fields))) dialog.close();
    };
    return form(
      () => void send(),
      { class: "stack" },
      field("Question", question),
      options,
      more,
      el("label", { class: "check" }, multiple, "Several answers are allowed"),
      el("label", { class: "check" }, anonymous, "Nobody sees who has voted for what"),
      error,
      el("div", { class: "buttons end" }, button("Cancel", dialog.close), submitButton("Send")),
    );
  });
}

export function pollOf(thread: Thread, message: ChatMessage): Child {
  const { id, poll, voted = [] } = message;
  if (!id || !poll) return null;
  const isClosed = poll.closed_at !== undefined;
  const group = newId();
  const vote = (options: number[]): void => void attempt(() => thread.handle.vote(id, options));
  const options = poll.options.map(({ text, votes }, at) => {
    const control = el("input", {
      type: poll.multiple ? "checkbox" : "radio",
      name: group,
      checked: voted.includes(at),
      disabled: isClosed,
      "data-control": `option ${at}`,
      on: { change: () => vote(poll.multiple ? [...chosen()] : [at]) },
    });
    const share = el("meter", {
      min: 0,
      max: Math.max(1, poll.voters),
      value: votes,
      "aria-label": count(votes, "vote"),
    });
    return el(
      "label",
      { class: "option" },
      control,
      el("span", { dir: "auto" }, text),
      el("span", { class: "votes" }, votes),
      share,
    );
  });
  const chosen = function* (): Generator<number> {
    for (const [at, option] of options.entries()) if (option.querySelector("input")?.checked) yield at;
  };
  const facts = [count(poll.voters, "voter"), poll.anonymous && "anonymous", isClosed && "closed"].filter(Boolean);
  if (!isClosed && poll.closes_at) facts.push(`until ${fullTime(poll.closes_at)}`);
  const act = (text: string, does: () => void): HTMLElement =>
    el("button", { type: "button", class: "link-button", "data-control": text, on: { click: does } }, text);
  const mayClose = message.own || (thread.view()?.kind === "group" && thread.view()?.role !== "member");
  return el(
    "fieldset",
    { class: "poll" },
    el("legend", { class: "hidden" }, "Poll: ", message.text),
    options,
    el(
      "p",
      { class: "hint" },
      facts.join(" · "),
      " ",
      voted.length > 0 && !isClosed && act("Take back", () => vote([])),
      !poll.anonymous && poll.voters > 0 && act("Voters", () => void showVoters(thread, message)),
      mayClose && !isClosed && act("Close the poll", () => void closePoll(thread, id)),
    ),
  );
}

async function closePoll({ app, handle }: Thread, message: string): Promise<void> {
  if (await confirmed("Nobody can vote any more. A poll cannot be opened again.", "Close the poll"))
    await attempt(() => app.client.call("poll.close", { conversation: handle.id, message }));
}

async function showVoters({ app, handle }: Thread, { id, poll }: ChatMessage): Promise<void> {
  const place = el("div", { class: "stack" }, "Loading…");
  openDialog("Voters", () => place);
  await attempt(async () => {
    const parts: HTMLElement[] = [];
    for (const [option, { text }] of (poll?.options ?? []).entries()) {
      const { items } = await app.client.call("poll.voters", {
        conversation: handle.id,
        message: id ?? "",
        option,
      });
      const names = items.map(({ name }) => el("li", {}, el("bdi", {}, name ?? NAMELESS)));
      parts.push(
        el("h3", { dir: "auto" }, text),
        names.length ? el("ul", { class: "people" }, names) : el("p", { class: "hint" }, "Nobody"),
      );
    }
    fill(place, parts);
  });
}
