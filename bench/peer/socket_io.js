// A chat server as people write it with Socket.IO 4: a JWT at the connect, rooms, one INSERT per message.
// node socket_io.js PORT SECRET POSTGRES
"use strict";
const { createServer } = require("http");
const jwt = require("jsonwebtoken");
const { Server } = require("socket.io");
const { Pool } = require("pg");

const INSERT = {
  name: "insert",
  text: "insert into peer_messages (room, sender, client_id, text) values ($1, $2, $3, $4) returning id, created_at",
};

function serve(adapter) {
  const [port, secret, dsn] = process.argv.slice(2);
  const http = createServer();
  const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, pingInterval: 25000, adapter });
  const pool = new Pool({ connectionString: dsn, max: 8 });

  io.use((socket, next) => {
    try {
      socket.data.user = jwt.verify(socket.handshake.auth.token, secret, { algorithms: ["HS256"] }).sub;
      next();
    } catch (error) {
      next(error);
    }
  });

  io.on("connection", (socket) => {
    const user = socket.data.user;
    socket.on("join", async (room, done) => {
      await socket.join(room);
      done();
    });
    socket.on("typing", (room) => socket.to(room).emit("typing", { room, user }));
    socket.on("broadcast", (message, done) => {
      socket.to(message.room).emit("message:new", { ...message, sender: user });
      done({ client_id: message.client_id });
    });
    socket.on("message", async (message, done) => {
      const values = [message.room, user, message.client_id, message.text];
      const { id, created_at } = (await pool.query({ ...INSERT, values })).rows[0];
      socket.to(message.room).emit("message:new", { ...message, id, sender: user, created_at });
      done({ client_id: message.client_id, id, created_at });
    });
  });

  http.listen(Number(port), "127.0.0.1");
}

module.exports = { serve };
if (require.main === module) serve();
