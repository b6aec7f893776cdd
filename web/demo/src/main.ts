// The demo of chatd: sign in as a guest, then the app. It uses nothing but the public client, `@chatd/client`.
import { connect, guest } from "@chatd/client";
import { attempt, type App } from "./app.js";
import { applyAppearance } from "./appearance.js";
import { el, fill } from "./dom.js";
import { SignedFiles } from "./files.js";
import { placeNotices } from "./notices.js";
import { accountKey } from "./routes.js";
import { Shell } from "./shell.js";
import { signIn } from "./sign-in.js";

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
    async signOut() {
      await attempt(() => client.logout());
      await finish("You have signed out.");
    },
  };
  const shell = new Shell(app);
  const unsubscribe = client.status.subscribe(({ error }) => {
    if (error) void finish(error.message);
  });
  let isOver = false;

  async function finish(reason: string): Promise<void> {
    if (isOver) return;
    isOver = true;
    unsubscribe();
    shell.stop();
    await client.stop();
    await account.forget();
    void start(reason);
  }

  fill(root, shell.node);
  shell.start();
}

void start();
