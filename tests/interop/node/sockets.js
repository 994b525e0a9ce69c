// A backend for WebSockets, the same by npm's `ws` and over HTTP, served on the socket inherited as
// file descriptor 3. What it says depends on the path only:
//
//   /echo    what it hears
//   /flood   `?count=` messages at once, and what it hears meanwhile
//   /grip    subscribes to `?channel=`, says "ready", then what it hears
//   /refuse  403
//
// Everywhere "bye CODE REASON" makes it close, and the subprotocol `second` is the one it speaks.

import { createServer } from 'node:http';
import { decodeWebSocketEvents, encodeWebSocketEvents, WebSocketEvent } from '@fanoutio/grip';
import { createWebSocketControlMessage } from '@fanoutio/grip';
import { WebSocketServer } from 'ws';

const EVENTS = 'application/websocket-events';
const KEEP_ALIVE = { content: 'still here', timeout: '1', mode: 'interval' };
const REFUSAL = 'not you\n';
const decoder = new TextDecoder();

const addressOf = (req) => new URL(req.url, 'http://localhost');
const speaksGrip = (url) => url.pathname === '/grip';

// What is said is a list of ['text' | 'binary', content] and ['close', code, reason].
function opening(url) {
  if (url.pathname === '/flood') {
    const count = Number(url.searchParams.get('count'));
    return Array.from({ length: count }, (_, n) => ['text', `backend ${n}`]);
  }
  if (!speaksGrip(url)) return [];
  const channel = url.searchParams.get('channel');
  const subscribe = createWebSocketControlMessage('subscribe', { channel });
  return [['text', `c:${subscribe}`], ['text', 'm:ready']];
}

function answer(url, kind, content) {
  const said = kind === 'text' ? decoder.decode(content) : '';
  const bye = said.match(/^bye (\d+) (.*)$/);
  if (bye) return [['close', Number(bye[1]), bye[2]]];
  if (!speaksGrip(url)) return [[kind, content]];
  if (said === 'keep-alive') {
    return [['text', `c:${createWebSocketControlMessage('keep-alive', KEEP_ALIVE)}`]];
  }
  if (said === 'no keep-alive') {
    return [['text', `c:${createWebSocketControlMessage('keep-alive')}`]];
  }
  return [[kind, Buffer.concat([Buffer.from('m:'), content])]];
}

// By `ws`.

const webSockets = new WebSocketServer({
  noServer: true,
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has('second') ? 'second' : false),
});
webSockets.on('headers', (headers, req) => {
  if (!speaksGrip(addressOf(req))) return;
  // Beside what `ws` itself has negotiated.
  const at = headers.findIndex((line) => line.startsWith('Sec-WebSocket-Extensions:'));
  if (at < 0) headers.push('Sec-WebSocket-Extensions: grip');
  else headers[at] += ', grip';
});
webSockets.on('connection', (socket, req) => {
  const url = addressOf(req);
  const say = (all) => {
    for (const [kind, ...rest] of all) {
      if (kind === 'close') socket.close(...rest);
      else socket.send(rest[0], { binary: kind === 'binary' });
    }
  };
  // A proxy or client that goes takes nobody else's connection with it.
  socket.on('error', () => {});
  socket.on('message', (data, isBinary) => say(answer(url, isBinary ? 'binary' : 'text', data)));
  say(opening(url));
});

// Over HTTP.

function closeContent(code, reason) {
  const content = Buffer.alloc(2 + Buffer.byteLength(reason));
  content.writeUInt16BE(code);
  content.write(reason, 2);
  return content;
}

function toEvent([kind, ...rest]) {
  if (kind === 'close') return new WebSocketEvent('CLOSE', closeContent(...rest));
  return new WebSocketEvent(kind.toUpperCase(), rest[0]);
}

function respond(url, event) {
  const content = Buffer.from(event.content ?? '');
  switch (event.type) {
    case 'OPEN': return [event, ...opening(url).map(toEvent)];
    case 'TEXT': return answer(url, 'text', content).map(toEvent);
    case 'BINARY': return answer(url, 'binary', content).map(toEvent);
    case 'PING': return [new WebSocketEvent('PONG', content)];
    case 'CLOSE': return [event];
    default: return [];
  }
}

async function overHttp(req, res, url) {
  const pieces = [];
  for await (const piece of req) pieces.push(piece);
  const events = decodeWebSocketEvents(new Uint8Array(Buffer.concat(pieces)));
  const headers = { 'Content-Type': EVENTS };
  if (speaksGrip(url)) headers['Sec-WebSocket-Extensions'] = 'grip';
  const offered = (req.headers['sec-websocket-protocol'] ?? '').split(/, */);
  if (offered.includes('second')) headers['Sec-WebSocket-Protocol'] = 'second';
  res.writeHead(200, headers);
  res.end(encodeWebSocketEvents(events.flatMap((event) => respond(url, event))));
}

const server = createServer((req, res) => {
  const url = addressOf(req);
  if (url.pathname === '/refuse') {
    res.writeHead(403, { 'Content-Type': 'text/plain', 'X-Why': 'because' });
    res.end(REFUSAL);
  } else {
    // A request that is given up in the middle ends nothing but itself.
    overHttp(req, res, url).catch(() => res.destroy());
  }
});
server.on('upgrade', (req, socket, head) => {
  socket.on('error', () => {});
  if (addressOf(req).pathname === '/refuse') {
    const body = `Content-Length: ${REFUSAL.length}\r\n\r\n${REFUSAL}`;
    const fields = 'Content-Type: text/plain\r\nX-Why: because\r\nConnection: close\r\n';
    socket.end(`HTTP/1.1 403 Forbidden\r\n${fields}${body}`);
    return;
  }
  webSockets.handleUpgrade(req, socket, head, (webSocket) => {
    webSockets.emit('connection', webSocket, req);
  });
});
// No connection is closed under the proxy while it makes its next request.
server.keepAliveTimeout = 0;
server.listen({ fd: 3 });
