// A chat server as people write it with Socket.IO 4: a JWT at the connect, rooms, one INSERT per message.
// node server.js PORT SECRET [POSTGRES]
"use strict";
const { createServer } = require("http");
const jwt = require("jsonwebtoken");
const { Server } = require("socket.io");
const { Pool } = require("pg");

const [port, secret, dsn] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, pingInterval: 25000 });
const pool = dsn ? new Pool({ connectionString: dsn, max: 8 }) : null;
const INSERT = "insert into peer_messages (room, sender, client_id, text) values ($1, $2, $3, $4) returning id, created_at";

io.use((socket, next) => {
  try {
    socket.data.user = jwt.verify(socket.handshake.auth.token, secret, { algorithms: ["HS256"] }).sub;
    next();
  } catch (error) {
    next(error);
  }
});

io.on("connection", (socket) => {
  socket.on("join", (room, done) => {
    socket.join(room);
    done();
  });
  socket.on("typing", (room) => socket.to(room).emit("typing", { conversation: room, user: socket.data.user }));
  socket.on("broadcast", (message, done) => {
    socket.to(message.room).emit("message:new", { ...message, sender: socket.data.user });
    done({ client_id: message.client_id });
  });
  socket.on("message", async (message, done) => {
    const row = (await pool.query({ name: "insert", text: INSERT, values: [message.room, socket.data.user, message.client_id, message.text] })).rows[0];
    socket.to(message.room).emit("message:new", { ...message, id: row.id, sender: socket.data.user });
    done({ client_id: message.client_id, id: row.id, created_at: row.created_at });
  });
});

async function main() {
  if (pool) {
    await pool.query("create table if not exists peer_messages (id bigserial primary key, room text not null, sender text not null, client_id text not null, text text, created_at timestamptz not null default now())");
    await pool.query("create index if not exists peer_messages_room on peer_messages (room, id)");
  }
  http.listen(Number(port), "127.0.0.1", () => console.log("ready"));
}

main();
