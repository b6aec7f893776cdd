// A scripted server behind the WebSocket and the fetch of a client: only the network is replaced.
import { load } from "./load.mjs";

const { ROUTES } = await load("routes");

export const HELLO = {
  t: "connected",
  session: "s",
  user: "me",
  tenant: "default",
  server_time: 1_000_000,
  expires_at: 2 ** 50,
  heartbeat: 25,
  limits: { max_message: 1000, max_frames: 64, max_text: 1000, commands_per_second: 10, commands_burst: 10 },
  maintenance: false,
};

export const state = (id, rev, more = {}) => ({
  id,
  kind: "direct",
  title: null,
  seq: rev,
  rev,
  read_seq: 0,
  delivered_seq: 0,
  unread: 0,
  mentions: 0,
  member_count: 2,
  settings: { muted_until: null, archived: false, pinned_at: null, hidden: false, draft: null, draft_at: null, notify: null },
  ...more,
});
export const member = (user, more = {}) => ({ user, name: user, handle: null, avatar: null, picture_url: null, profile_version: 1, role: "member", delivered_seq: 0, read_seq: 0, joined_at: 0, rev: 1, ...more });
export const message = (number, more = {}) => ({
  id: `m${number}`,
  seq: number,
  rev: number,
  sender: "you",
  client_id: `theirs-${number}`,
  text: `text ${number}`,
  attachments: [],
  reply_to: null,
  created_at: 1_000_000 + number,
  meta: null,
  ...more,
});
export const news = (id, number, more) => ({ t: "message.new", conversation: id, rev: number, message: message(number, more) });
const range = (from, to) => Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
export const changes = (after, top) => ({
  t: "changes",
  messages: range(after + 1, top).map((number) => message(number)),
  members: [],
  departures: [],
  rev: top,
  more: false,
  reset: false,
});
export const refused = (code, more = {}) => ({ t: "error", code, message: code, retryable: false, ...more });

export class Server {
  /** The outcome of each connection: "open", "refuse" (the handshake fails), "silent" (it never answers). */
  outcomes = [];
  states = [state("c", 0)];
  asked = [];
  requests = [];
  sockets = [];
  hello = {};
  routes = ROUTES;
  tokens = [];
  handlers = {
    "session.sync": () => ({ t: "session.state", conversations: this.states, gone: [], marks: [], own: false, reset: false, cursor: "x", more: false }),
    "conversation.list": () => ({ t: "conversations", items: this.states.map((one) => ({ ...one, created_at: 5, members: [member("me"), member("you")], last_message: null })), cursor: null }),
    "conversation.get": ({ conversation }) => ({ t: "conversation", created: false, conversation: { ...(this.states.find(({ id }) => id === conversation) ?? state(conversation, 0)), created_at: 5, members: [member("me"), member("you")] } }),
    "message.history": () => ({ t: "messages", items: [], more: false }),
    ping: () => ({ t: "pong", ts: 0, server_time: 0 }),
  };
  /** The response to GET /v1/me, and others: [status, body, headers]. */
  http = () => [200, { t: "user", user: { id: "me" } }];

  constructor() {
    const server = this;
    this.WebSocket = class {
      constructor(url, protocols) {
        this.url = url;
        server.sockets.push(this);
        server.tokens.push(protocols[1].replace("bearer.", ""));
        const outcome = server.outcomes.shift() ?? "open";
        queueMicrotask(() => {
          if (outcome === "open") this.push({ ...HELLO, ...server.hello });
          else if (outcome === "refuse") this.end(1006);
        });
      }
      push(body, id = 0) {
        queueMicrotask(() => this.onmessage?.({ data: JSON.stringify([id, body]) }));
      }
      end(code, reason = "") {
        this.hasEnded = true;
        queueMicrotask(() => this.onclose?.({ code, reason }));
      }
      send(data) {
        const [id, body] = JSON.parse(data);
        server.asked.push(body);
        const answer = server.handlers[body.t]?.(body) ?? { t: "ok" };
        if (id && answer !== "nothing") this.push(answer, id);
      }
      close() {
        this.wasClosed = true;
      }
    };
    this.fetch = async (url, init = {}) => {
      const { pathname: path, searchParams } = new URL(url);
      this.requests.push(path);
      if (path === "/v1/events") return this.events(searchParams, init);
      const command = this.commandOf(init.method ?? "GET", path, searchParams, init);
      if (command && this.rest) {
        this.asked.push(command);
        const answer = this.handlers[command.t]?.(command) ?? { t: "ok" };
        return Response.json(answer, { status: answer.t === "error" ? 403 : 200 });
      }
      const [status, body, headers] = this.http(path, init);
      if (status === 0) throw new TypeError("fetch failed");
      return new Response(JSON.stringify(body), { status, headers });
    };
  }

  // --- without a WebSocket ------------------------------------------------------------------------------------------

  /** Commands are answered over REST. */
  rest = false;
  /** Requests for events: `after`, `wait`, and what the test does with them. */
  streams = [];
  /** The position that comes with each frame. */
  position = 0;
  onEvents = () => "stream";

  commandOf(method, path, query, init) {
    for (const [t, route] of Object.entries(this.routes)) {
      const [verb, pattern] = route.split(" ");
      const found = new RegExp(`^${pattern.replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`).exec(path);
      if (verb === method && found)
        return { t, ...Object.fromEntries(query), ...found.groups, ...JSON.parse(init.body ?? "{}"), session: init.headers["Chatd-Session"] };
    }
    return undefined;
  }

  events(query, init) {
    const server = this;
    const outcome = this.onEvents(query);
    if (outcome instanceof Response) return outcome;
    return new Promise((resolve, reject) => {
      const stream = { after: query.get("after"), wait: query.get("wait") };
      this.streams.push(stream);
      const id = () => `position-${++server.position}`;
      const fail = () => reject(new DOMException("aborted", "AbortError"));
      init.signal.onabort = () => ((stream.wasAborted = true), fail());
      if (stream.wait !== null) {
        stream.answer = (...bodies) => {
          stream.hasEnded = true;
          const headers = { "Chatd-Position": id() };
          resolve(Response.json(bodies.map((body) => [0, body]), { headers }));
        };
        if (stream.after === null) stream.answer(HELLO);
        return;
      }
      const body = new ReadableStream({
        start(controller) {
          const encoder = new TextEncoder();
          stream.write = (part) => controller.enqueue(typeof part === "string" ? encoder.encode(part) : part);
          stream.push = (body) => stream.write(`id: ${id()}\ndata: ${JSON.stringify([0, body])}\n\n`);
          stream.break = () => controller.error(new TypeError("terminated"));
        },
      });
      resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
      stream.write("retry: 1000\n: chatd\n\n");
      if (stream.after === null && outcome === "stream") stream.push(HELLO);
    });
  }

  get last() {
    return this.sockets.at(-1);
  }

  askedFor(name) {
    return this.asked.filter(({ t }) => t === name);
  }
}
