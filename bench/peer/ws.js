// A chat server as people write it with `ws`: a JWT at the upgrade, sets of sockets as rooms, one INSERT per message.
// node ws.js PORT SECRET POSTGRES
"use strict";
const { createServer } = require("http");
const jwt = require("jsonwebtoken");
const { WebSocketServer, WebSocket } = require("ws");
const { Pool } = require("pg");

const INSERT = {
  name: "insert",
  text: "insert into peer_messages (room, sender, client_id, text) values ($1, $2, $3, $4) returning id, created_at",
};
const HEARTBEAT_MS = 25000;

const [port, secret, dsn] = process.argv.slice(2);
const http = createServer();
const wss = new WebSocketServer({ noServer: true });
const pool = new Pool({ connectionString: dsn, max: 8 });
const rooms = new Map();

http.on("upgrade", (request, socket, head) => {
  let user;
  try {
    const [, token] = (request.headers.authorization || "").split(" ");
    user = jwt.verify(token, secret, { algorithms: ["HS256"] }).sub;
  } catch {
    socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    return;
  }
  wss.handleUpgrade(request, socket, head, (ws) => {
    ws.user = user;
    ws.rooms = new Set();
    wss.emit("connection", ws);
  });
});

function join(ws, room) {
  if (!rooms.has(room)) rooms.set(room, new Set());
  rooms.get(room).add(ws);
  ws.rooms.add(room);
}

function leaveAll(ws) {
  for (const room of ws.rooms) {
    const members = rooms.get(room);
    members.delete(ws);
    if (members.size === 0) rooms.delete(room);
  }
}

// One buffer for all members: a string would be encoded for each.
function sendToOthers(ws, room, event) {
  const data = Buffer.from(JSON.stringify(event));
  for (const member of rooms.get(room) || []) {
    if (member !== ws && member.readyState === WebSocket.OPEN) member.send(data, { binary: false });
  }
}

async function handle(ws, { type, id, ...body }) {
  const { room, client_id, text } = body;
  switch (type) {
    case "join":
      join(ws, room);
      ws.send(JSON.stringify({ type: "ok", id }));
      break;
    case "typing":
      sendToOthers(ws, room, { type: "typing", room, user: ws.user });
      break;
    case "broadcast":
      sendToOthers(ws, room, { type: "message:new", ...body, sender: ws.user });
      ws.send(JSON.stringify({ type: "ack", id, client_id }));
      break;
    case "message": {
      const stored = (await pool.query({ ...INSERT, values: [room, ws.user, client_id, text] })).rows[0];
      sendToOthers(ws, room, { type: "message:new", ...body, sender: ws.user, ...stored });
      ws.send(JSON.stringify({ type: "ack", id, client_id, message: stored.id, created_at: stored.created_at }));
      break;
    }
  }
}

wss.on("connection", (ws) => {
  ws.isAlive = true;
  ws.on("pong", () => (ws.isAlive = true));
  ws.on("message", (data) => {
    handle(ws, JSON.parse(data)).catch((error) => {
      console.error(error);
      ws.close(1011);
    });
  });
  ws.on("close", () => leaveAll(ws));
  ws.on("error", console.error);
});

setInterval(() => {
  for (const ws of wss.clients) {
    if (!ws.isAlive) {
      ws.terminate();
    } else {
      ws.isAlive = false;
      ws.ping();
    }
  }
}, HEARTBEAT_MS);

http.listen(Number(port), "127.0.0.1");
