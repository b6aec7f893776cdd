// The demo of chatd: sign in as a guest, then the app. It uses nothing but the public client, `@chatd/client`.
import { connect, Ended, guest } from "@chatd/client";
import { attempt, reasonOf, type App } from "./app.js";
import { applyAppearance } from "./appearance.js";
import { button } from "./controls.js";
import { el, fill } from "./dom.js";
import { SignedFiles } from "./files.js";
import { placeNotices } from "./notices.js";
import { accountKey } from "./routes.js";
import { Shell } from "./shell.js";
import { signIn } from "./sign-in.js";

/** Why a login has ended for good. */
const LOST = new Set(["logged_out", "unauthenticated"]);

applyAppearance();
const root = el("div", { class: "root" });
document.body.append(root);
placeNotices();

async function start(notice?: string): Promise<void> {
  const account = guest({ key: accountKey() });
  await signIn(root, account, notice);
  const client = connect({ token: account.token });
  const app: App = {
    client,
    account,
    files: new SignedFiles(client),
    trays: new Map(),
    async signOut() {
      farewell = "You have signed out.";
      if (await attempt(() => client.logout())) await finish(farewell, true);
    },
  };
  const shell = new Shell(app);
  const unsubscribe = client.status.subscribe(({ error }) => {
    if (error) void finish(farewell ?? reasonOf(error), error instanceof Ended && LOST.has(error.code));
  });
  let farewell: string | undefined;
  let isOver = false;

  /** `isLost`: the account cannot be used any more. Otherwise it stays, with its unsent messages. */
  async function finish(reason: string, isLost: boolean): Promise<void> {
    if (isOver) return;
    isOver = true;
    unsubscribe();
    shell.stop();
    await client.stop();
    if (isLost) await account.forget();
    if (isLost) void start(reason);
    else showEnd(reason);
  }

  fill(root, shell.node);
  shell.start();
}

function showEnd(reason: string): void {
  const again = button("Try again", () => void start(), { class: "button primary" });
  fill(
    root,
    el(
      "main",
      { class: "sign-in" },
      el("h1", {}, "chatd demo"),
      el("p", { role: "alert", dir: "auto" }, reason),
      again,
    ),
  );
  again.focus();
}

void start();
