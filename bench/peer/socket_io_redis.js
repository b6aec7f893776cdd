// The server of socket_io.js as one of several nodes: each event for a room passes through Redis.
// node socket_io_redis.js PORT SECRET POSTGRES REDIS_SOCKET
"use strict";
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { serve } = require("./socket_io");

async function main() {
  const publisher = createClient({ socket: { path: process.argv[5] } });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  serve(createAdapter(publisher, subscriber));
}

main();
