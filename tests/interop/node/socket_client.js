// A client of npm's `ws` on a lead: takes commands as lines of JSON, and prints what happens as such.
// socket_clients.py has the other end.

import { createInterface } from 'node:readline';
import WebSocket from 'ws';

const tell = (type, fields = {}) => console.log(JSON.stringify({ type, ...fields }));
let socket;

function open({ url, protocols, deflate }) {
  socket = new WebSocket(url, protocols, { perMessageDeflate: deflate });
  socket.on('open', () => {
    tell('open', { extensions: socket.extensions, protocol: socket.protocol });
  });
  socket.on('message', (data, isBinary) => {
    if (isBinary) tell('binary', { content: data.toString('base64') });
    else tell('text', { content: data.toString() });
  });
  socket.on('ping', (data) => tell('ping', { content: data.toString() }));
  socket.on('pong', (data) => tell('pong', { content: data.toString() }));
  socket.on('close', (code, reason) => tell('close', { code, reason: reason.toString() }));
  socket.on('unexpected-response', async (_, response) => {
    let body = '';
    try {
      for await (const piece of response.setEncoding('utf8')) body += piece;
    } catch (problem) {
      body += String(problem);
    }
    tell('refused', { status: response.statusCode, why: response.headers['x-why'], body });
  });
  socket.on('error', () => {});
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  switch (command.do) {
    case 'open': open(command); break;
    case 'text': socket.send(command.content); break;
    case 'binary': socket.send(Buffer.from(command.content, 'base64')); break;
    case 'ping': socket.ping(command.content); break;
    case 'flood':
      for (let n = 0; n < command.count; n += 1) socket.send(`client ${n}`);
      break;
    case 'close': socket.close(command.code, command.reason); break;
  }
});
