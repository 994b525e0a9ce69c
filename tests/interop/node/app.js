// An Express application on serve-grip: long-poll, stream, and a WebSocket room that broadcasts.
// Served on the socket inherited as file descriptor 3; GRIP_URL comes from the test.

import express from 'express';
import { ServeGrip } from '@fanoutio/serve-grip';
import { HttpResponseFormat, HttpStreamFormat, WebSocketMessageFormat } from '@fanoutio/grip';

const serveGrip = new ServeGrip({ grip: process.env.GRIP_URL, gripProxyRequired: true });
const publisher = serveGrip.getPublisher();

const app = express();
app.use(serveGrip);

app.get('/api/poll/:name', (req, res) => {
  const instruct = res.grip.startInstruct();
  instruct.addChannel(`poll-${req.params.name}`);
  instruct.setHoldLongPoll(req.query.wait === undefined ? undefined : Number(req.query.wait));
  res.setHeader('Content-Type', 'text/plain');
  res.end('nothing yet\n');
});

app.get('/api/stream/:name', (req, res) => {
  const instruct = res.grip.startInstruct();
  instruct.addChannel([`stream-${req.params.name}`, 'stream-everyone']);
  instruct.setHoldStream();
  res.setHeader('Content-Type', 'text/plain');
  res.end('[stream open]\n');
});

app.post('/api/publish/:channel', express.text({ type: () => true }), async (req, res) => {
  const text = req.body;
  await publisher.publishFormats(req.params.channel, [
    new HttpResponseFormat({ body: `${text}\n` }),
    new HttpStreamFormat(`${text}\n`),
    new WebSocketMessageFormat(text),
  ]);
  res.type('text/plain').send('published\n');
});

app.post('/api/close/:channel', async (req, res) => {
  await publisher.publishHttpStream(req.params.channel, new HttpStreamFormat(null, true));
  res.type('text/plain').send('published\n');
});

// Every message of a client goes to all clients, its sender included.
app.post('/api/websocket', (req, res) => {
  const { wsContext } = req.grip;
  if (wsContext == null) {
    res.status(400).send('only WebSocket-over-HTTP here\n');
    return;
  }
  if (wsContext.isOpening()) {
    wsContext.accept();
    wsContext.subscribe('room');
    wsContext.send(`hello ${wsContext.id}`);
  }
  const broadcasts = [];
  while (wsContext.canRecv()) {
    let message;
    try {
      message = wsContext.recv();
    } catch {
      break; // the client vanished
    }
    if (message == null) {
      wsContext.close(wsContext.closeCode ?? 1000);
      break;
    }
    if (message === '/count') {
      wsContext.meta.count = String(Number(wsContext.meta.count ?? 0) + 1);
      wsContext.send(`count ${wsContext.meta.count}`);
    } else if (message === '/bye') {
      wsContext.close(4002);
    } else {
      broadcasts.push(message);
    }
  }
  (async () => {
    for (const message of broadcasts) {
      await publisher.publishFormats('room', new WebSocketMessageFormat(message));
    }
  })().then(() => res.end(), (problem) => res.status(500).send(String(problem)));
});

app.get('/api/about', (req, res) => {
  const { isProxied, isSigned } = req.grip;
  res.json({ isProxied, isSigned, url: req.originalUrl, headers: req.headers });
});

app.listen({ fd: 3 });
