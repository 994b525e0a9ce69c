// A backend of WebSocket-over-HTTP that sends back what it gets, as a WebSocket server would: messages
// as they are, PING with PONG, CLOSE with CLOSE, and 1002 where a code may not be sent (RFC 6455, 7.4).
// Takes connections from the socket that it is handed as descriptor 3.

const { createServer } = require("http");

const EVENTS = "application/websocket-events";

// The events of a request's body, each with its name and content.
function* decode(body) {
  for (let at = 0; at < body.length; ) {
    const lineEnd = body.indexOf("\r\n", at);
    const [name, length] = body.toString("latin1", at, lineEnd).split(" ");
    const begin = lineEnd + 2;
    const bytes = length === undefined ? null : parseInt(length, 16);
    at = bytes === null ? begin : begin + bytes + 2;
    yield [name, bytes === null ? Buffer.alloc(0) : body.subarray(begin, begin + bytes)];
  }
}

function encode(name, content) {
  if (content.length === 0) return Buffer.from(`${name}\r\n`);
  const head = Buffer.from(`${name} ${content.length.toString(16)}\r\n`);
  return Buffer.concat([head, content, Buffer.from("\r\n")]);
}

function mayBeSent(code) {
  return (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) ||
    (code >= 3000 && code <= 4999);
}

function closeAnswer(content) {
  if (content.length < 2 || mayBeSent(content.readUInt16BE(0))) return content;
  return Buffer.from([1002 >> 8, 1002 & 0xff]);
}

function answer(name, content) {
  switch (name) {
    case "OPEN": return encode("OPEN", Buffer.alloc(0));
    case "PING": return encode("PONG", content);
    case "PONG": return Buffer.alloc(0);
    case "CLOSE": return encode("CLOSE", closeAnswer(content));
    case "DISCONNECT": return Buffer.alloc(0);
    default: return encode(name, content);
  }
}

const server = createServer((request, response) => {
  // A request that is given up in the middle ends nothing but itself.
  respond(request, response).catch(() => response.destroy());
});

async function respond(request, response) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const events = [...decode(Buffer.concat(pieces))];
  const body = Buffer.concat(events.map(([name, content]) => answer(name, content)));
  response.writeHead(200, { "Content-Type": EVENTS, "Content-Length": body.length });
  response.end(body);
}
// No connection is closed under the proxy while it makes its next request.
server.keepAliveTimeout = 0;
server.listen({ fd: 3 });
