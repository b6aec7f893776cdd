// Settings of the user: profile, notifications, privacy, devices, the looks of the page, and the end of the account.
import type { ChatClient, FieldsOf, UserSettings } from "@chatd/client";
import { appearance, setAppearance } from "./appearance.js";
import { attempt, type App } from "./app.js";
import { button, field, form, select, submitButton } from "./controls.js";
import { confirmed } from "./dialog.js";
import { el, fill, type Child } from "./dom.js";
import { fullTime, NAMELESS } from "./format.js";
import { go } from "./routes.js";

const WHO = { everybody: "Everybody", contacts: "Contacts", nobody: "Nobody" };

export class SettingsPage {
  readonly node: HTMLElement;
  private readonly title = el("h2", { tabindex: -1 }, "Settings");
  private readonly places = {
    profile: el("div", { class: "stack" }),
    notifications: el("div", { class: "stack" }),
    privacy: el("div", { class: "stack" }),
    blocked: el("div", {}),
    devices: el("div", {}),
  };
  private unsubscribe = (): void => {};

  constructor(private readonly app: App) {
    const { places } = this;
    this.node = el(
      "main",
      { class: "pane settings" },
      el(
        "div",
        { class: "stack settings-body" },
        el(
          "div",
          { class: "buttons" },
          button("Back to the list", () => go("#/"), { class: "button back" }),
        ),
        this.title,
        section("Profile", places.profile),
        section("Appearance", appearanceFields()),
        section("Notifications", places.notifications),
        section("Privacy", places.privacy, places.blocked),
        section("Devices", places.devices),
        section("Account", accountButtons(app)),
      ),
    );
  }

  start(): void {
    const { client } = this.app;
    void attempt(() => this.loadProfile());
    void attempt(() => this.loadSettings());
    void attempt(() => this.loadBlocked());
    void attempt(() => this.loadDevices());
    const ends = (["login.added", "login.ended", "login.updated"] as const).map((name) =>
      client.on(name, () => void attempt(() => this.loadDevices())),
    );
    this.unsubscribe = () => ends.forEach((end) => end());
  }

  stop(): void {
    this.unsubscribe();
  }

  focus(): void {
    this.title.focus();
  }

  private async loadProfile(): Promise<void> {
    const { client } = this.app;
    const { user } = await client.call("me.get");
    const text = (value: string | null | undefined, max: number): HTMLInputElement => {
      const input = el("input", { type: "text", dir: "auto", maxlength: max });
      input.value = value ?? "";
      return input;
    };
    const name = text(user.name, 100);
    const handle = text(user.handle, 30);
    const status = text(user.status_text, 100);
    const save = (): void => {
      const fields: FieldsOf<"user.update"> = {};
      if (name.value.trim() !== (user.name ?? "")) fields.name = name.value.trim();
      if (handle.value.trim() !== (user.handle ?? "")) fields.handle = handle.value.trim().replace(/^@/, "");
      if (status.value.trim() !== (user.status_text ?? "")) fields.status_text = status.value.trim();
      const done = async (): Promise<void> => void Object.assign(user, (await client.call("user.update", fields)).user);
      void attempt(done, "Saved.");
    };
    fill(
      this.places.profile,
      form(
        save,
        { class: "stack" },
        field("Name", name),
        field("Handle", handle, "Others find you by it."),
        field("Status", status),
        el("div", { class: "buttons" }, submitButton("Save the profile")),
      ),
    );
  }

  private async loadSettings(): Promise<void> {
    const { client } = this.app;
    const settings = await client.call("user.settings.get");
    const change = (fields: FieldsOf<"user.settings">): void =>
      void attempt(() => client.call("user.settings", fields), "Saved.");
    const who = (label: string, key: "show_presence" | "allow_messages" | "allow_groups"): HTMLElement =>
      field(
        label,
        select(settings[key], WHO, (value) => change({ [key]: value })),
      );
    fill(
      this.places.notifications,
      field(
        "Notify me of",
        select(settings.notify, { all: "All messages", mentions: "Mentions", none: "Nothing" }, (notify) =>
          change({ notify }),
        ),
        "For notifications that the backend of an app sends. Each conversation can have a setting of its own.",
      ),
      quietHours(client, settings),
    );
    fill(
      this.places.privacy,
      who("Who sees whether I am online", "show_presence"),
      who("Who may write to me without a request", "allow_messages"),
      who("Who may add me to groups without a request", "allow_groups"),
    );
  }

  private async loadBlocked(): Promise<void> {
    const { client } = this.app;
    const { items } = await client.call("block.list", { limit: 100 });
    const unblock = (user: string): void =>
      void attempt(async () => {
        await client.call("user.unblock", { user });
        await this.loadBlocked();
      }, "Unblocked.");
    const rows = items.map(({ user, name }) => {
      const shown = name ?? "A stranger";
      return el(
        "li",
        {},
        el("bdi", {}, shown),
        button("Unblock", () => unblock(user), { "aria-label": `Unblock ${shown}` }),
      );
    });
    fill(
      this.places.blocked,
      el("h4", {}, "Blocked users"),
      rows.length ? el("ul", { class: "people" }, rows) : el("p", { class: "hint" }, "Nobody"),
    );
  }

  private async loadDevices(): Promise<void> {
    const { client } = this.app;
    const { items, current } = await client.call("login.list");
    const end = (login: string): void =>
      void attempt(() => client.call("login.end", { login }).then(() => this.loadDevices()), "Signed out.");
    const rename = (login: string, name: string): void =>
      void attempt(() => client.call("login.rename", { login, name }), "Saved.");
    const rows = items.map(({ id, name, platform, last_seen }) => {
      const input = el("input", { type: "text", dir: "auto", maxlength: 60, "aria-label": "Name of the device" });
      input.value = name ?? platform ?? "";
      input.addEventListener("change", () => rename(id, input.value.trim()));
      const isCurrent = id === current;
      const when = isCurrent ? "this device" : `last used ${fullTime(last_seen)}`;
      return el(
        "li",
        {},
        el("span", { class: "grow" }, input, el("small", {}, when)),
        !isCurrent && button("Sign out", () => end(id), { "aria-label": `Sign out ${input.value || NAMELESS}` }),
      );
    });
    const endOthers = (): void =>
      void attempt(
        () => client.call("login.end_others").then(() => this.loadDevices()),
        "All other devices are signed out.",
      );
    fill(
      this.places.devices,
      el("ul", { class: "people" }, rows),
      items.length > 1 && button("Sign out all other devices", endOthers),
    );
  }
}

const section = (title: string, ...content: Child[]): HTMLElement =>
  el("section", { class: "stack card-section" }, el("h3", {}, title), content);

function quietHours(client: ChatClient, { quiet }: UserSettings): HTMLElement {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const from = el("input", { type: "time", value: quiet?.from ?? "22:00" });
  const to = el("input", { type: "time", value: quiet?.to ?? "07:00" });
  const isOn = el("input", { type: "checkbox", checked: quiet !== null });
  const save = (): void => {
    const fields: FieldsOf<"user.settings"> = isOn.checked
      ? { quiet: { from: from.value, to: to.value, zone } }
      : { loud: true };
    void attempt(() => client.call("user.settings", fields), "Saved.");
  };
  for (const input of [from, to]) input.addEventListener("change", () => isOn.checked && save());
  isOn.addEventListener("change", save);
  return el(
    "div",
    { class: "stack" },
    el("label", { class: "check" }, isOn, "No notifications at night"),
    el("div", { class: "pair" }, field("From", from), field("To", to)),
  );
}

function appearanceFields(): HTMLElement {
  const themes = { auto: "As the system", light: "Light", dark: "Dark" };
  const directions = { auto: "As the language", ltr: "Left to right", rtl: "Right to left" };
  return el(
    "div",
    { class: "pair" },
    field(
      "Theme",
      select(appearance.theme, themes, (theme) => setAppearance({ theme })),
    ),
    field(
      "Direction",
      select(appearance.direction, directions, (direction) => setAppearance({ direction })),
    ),
  );
}

function accountButtons(app: App): HTMLElement {
  const { client } = app;
  const signOut = async (): Promise<void> => {
    const waiting = client.outbox.get().length ? " Messages that are not sent yet are lost." : "";
    if (await confirmed(`A guest without a login cannot come back.${waiting}`, "Sign out")) await app.signOut();
  };
  const erase = async (): Promise<void> => {
    if (await confirmed("Your account, your messages and your files are deleted for ever.", "Erase my account"))
      await attempt(() => client.call("me.erase", { confirm: true }));
  };
  const danger = { class: "button danger" };
  return el(
    "div",
    { class: "buttons" },
    button("Sign out", () => void signOut()),
    button("Erase my account", () => void erase(), danger),
  );
}
