// Server-sent events from Express: `/plain/` by @fanoutio/eventstream, `/log/` reliable, on
// serve-grip. Served on the socket inherited as file descriptor 3; GRIP_URL comes from the test.

import { readFileSync } from 'node:fs';
import express from 'express';
import { EventStream } from '@fanoutio/eventstream';
import { ServeGrip } from '@fanoutio/serve-grip';
import { Channel, HttpStreamFormat } from '@fanoutio/grip';

const body = express.text({ type: () => true });
const lines = (req) => req.body.split('\n').filter((line) => line);
const app = express();

// @fanoutio/eventstream as its README has it. It gives its events no ids.
const eventStream = new EventStream({ grip: process.env.GRIP_URL });
app.get('/plain/:channel', eventStream('{channel}'));
app.post('/plain/:channel', body, async (req, res) => {
  for (const data of lines(req)) {
    await eventStream.publishEvent(req.params.channel, { event: 'message', data });
  }
  res.send('ok\n');
});

// The same made reliable with what serve-grip has for it: an id each, the id before, a next link.
const serveGrip = new ServeGrip({ grip: process.env.GRIP_URL });
const publisher = serveGrip.getPublisher();
const logs = new Map();
let asked = [];

function logOf(name) {
  if (!logs.has(name)) logs.set(name, []);
  return logs.get(name);
}

const encoded = (id, data) => `event: message\nid: ${id}\ndata: ${data}\n\n`;

app.get('/log/:name', serveGrip, (req, res) => {
  const { name } = req.params;
  const log = logOf(name);
  const isNext = req.query.link === 'next';
  const gripLast = req.headers['grip-last']?.match(/; last-id=(.*)$/)?.[1];
  const last = isNext ? gripLast : req.headers['last-event-id'];
  asked.push({ name, link: req.query.link ?? null, last: last ?? null });
  const after = Number(last ?? log.length);
  const instruct = res.grip.startInstruct();
  instruct.addChannel(new Channel(`log-${name}`, String(log.length)));
  instruct.setHoldStream();
  instruct.setNextLink(`${req.path}?link=next`);
  const opening = isNext ? '' : 'event: stream-open\ndata:\n\n';
  const missed = log.slice(after).map((data, n) => encoded(after + n + 1, data));
  res.setHeader('Content-Type', 'text/event-stream');
  res.end(opening + missed.join(''));
});

app.post('/log/:name', body, async (req, res) => {
  const { name } = req.params;
  for (const data of lines(req)) {
    const id = logOf(name).push(data);
    if (req.query.lose) continue;
    const format = new HttpStreamFormat(encoded(id, data));
    await publisher.publishFormats(`log-${name}`, format, String(id), String(id - 1));
  }
  res.send('ok\n');
});

app.get('/asked/', (req, res) => {
  res.json(asked);
  asked = [];
});

app.get('/page/', (req, res) => {
  res.type('html').send(readFileSync(process.env.PAGE));
});

app.listen({ fd: 3 });
