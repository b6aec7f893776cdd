// Begin a conversation: with somebody, with a group, or by a link.
import type { User } from "@chatd/client";
import { attempt, type App } from "./app.js";
import { button, field, form, submitButton } from "./controls.js";
import { openDialog, type Dialog } from "./dialog.js";
import { el, fill } from "./dom.js";
import { NAMELESS } from "./format.js";
import { go, otherPerson, pathOf, routeOf } from "./routes.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Users whom a text names: a handle, a user id, or the link of a user. */
async function findUsers({ client }: App, text: string): Promise<User[]> {
  const link = routeOf(text.slice(text.indexOf("#")));
  const id = link.view === "with" ? link.user : text;
  if (UUID.test(id)) return (await client.call("user.query", { users: [id] })).items;
  return (await client.call("user.search", { query: text.replace(/^@/, ""), limit: 10 })).items;
}

/** A field that finds users, and a list of those that were found. */
export function userPicker(app: App, label: string, chosen: (user: User) => void): HTMLElement {
  const input = el("input", { type: "text", dir: "auto", autocomplete: "off", spellcheck: "false" });
  const list = el("ul", { class: "people", "aria-label": "Found" });
  const note = el("p", { class: "hint", role: "status" });
  const pick = (user: User): void => {
    input.value = "";
    fill(list);
    chosen(user);
  };
  const find = async (): Promise<void> => {
    const text = input.value.trim();
    if (!text) return;
    await attempt(async () => {
      const found = await findUsers(app, text);
      fill(note, found.length ? "" : "Nobody was found.");
      fill(
        list,
        found.map((user) =>
          el(
            "li",
            {},
            el(
              "span",
              {},
              el("bdi", {}, user.name ?? NAMELESS),
              " ",
              user.handle && el("small", {}, `@${user.handle}`),
            ),
            button("Choose", () => pick(user), { "aria-label": `Choose ${user.name ?? NAMELESS}` }),
          ),
        ),
      );
      list.querySelector("button")?.focus();
    });
  };
  return form(
    () => void find(),
    { class: "stack" },
    field(label, input, "A handle, a user id, or the link of somebody"),
    el("div", { class: "buttons" }, submitButton("Find", { class: "button" })),
    note,
    list,
  );
}

export function openNewConversation(app: App): void {
  openDialog("New conversation", (dialog) => [
    userPicker(app, "Write to", (user) => {
      dialog.close();
      go(`#/with/${user.id}`);
    }),
    el(
      "div",
      { class: "buttons" },
      button("New group", () => replace(dialog, () => openNewGroup(app))),
    ),
    el("hr", {}),
    ownLink(app),
  ]);
}

function replace(dialog: Dialog, open: () => void): void {
  dialog.close();
  open();
}

/** The link by which others can write to this user. */
export function ownLink({ client }: App): HTMLElement {
  const path = `#/with/${client.user}`;
  const link = el("input", { type: "text", readonly: true, dir: "ltr", value: `${location.origin}/${path}` });
  const copy = async (): Promise<void> => {
    link.select();
    await attempt(() => navigator.clipboard.writeText(link.value), "The link is copied.");
  };
  return el(
    "div",
    { class: "stack" },
    field("Your link: whoever opens it can write to you", link),
    el(
      "div",
      { class: "buttons" },
      button("Copy the link", () => void copy()),
      el("a", { class: "button", href: otherPerson(path), target: "_blank" }, "Open a tab as another person"),
    ),
  );
}

function openNewGroup(app: App): void {
  const title = el("input", { type: "text", dir: "auto", maxlength: 200 });
  const members = new Map<string, string>();
  const list = el("ul", { class: "people", "aria-label": "Members" });
  const show = (): void =>
    fill(
      list,
      [...members].map(([id, name]) => {
        const remove = (): void => {
          members.delete(id);
          show();
        };
        return el("li", {}, el("bdi", {}, name), button("Remove", remove, { "aria-label": `Remove ${name}` }));
      }),
    );
  openDialog("New group", (dialog) => {
    const create = async (): Promise<void> => {
      const isDone = await attempt(async () =>
        go(pathOf((await app.client.create(title.value.trim(), [...members.keys()])).id)),
      );
      if (isDone) dialog.close();
    };
    return [
      field("Name of the group", title),
      userPicker(app, "Add somebody", ({ id, name }) => {
        members.set(id, name ?? NAMELESS);
        show();
      }),
      list,
      el(
        "div",
        { class: "buttons end" },
        button("Cancel", dialog.close),
        button("Create the group", () => void create(), { class: "button primary" }),
      ),
    ];
  });
}
