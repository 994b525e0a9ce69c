// A WebSocket server that sends back what it gets: npm's `ws`, which is strict, with compression.
// Takes connections from the socket that it is handed as descriptor 3.

const { createServer } = require("http");
const { WebSocketServer } = require("ws");

const server = createServer();
const options = { server, perMessageDeflate: true, maxPayload: 64 * 1024 * 1024 };
new WebSocketServer(options).on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  // What a client does wrong is told to the client, by `ws`.
  socket.on("error", () => {});
});
server.listen({ fd: 3 });
