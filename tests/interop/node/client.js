// Clients of the Express application: `node client.js SCENARIO BASE`. Ends with 0 when the
// scenario went as a user expects, else with 1 and what was wrong.

import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import WebSocket from 'ws';

const PATIENCE = 60_000;
const KNOCK = 'knock';
const [scenario, base] = process.argv.slice(2);

function within(promise, what, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${patience} ms for ${what}`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function request(path, options = {}, body = undefined) {
  return within(
    new Promise((resolve, reject) => {
      const sent = http.request(base + path, options, resolve);
      sent.on('error', reject);
      sent.end(body);
    }),
    path,
  );
}

async function text(response) {
  let all = '';
  response.setEncoding('utf8');
  for await (const piece of response) all += piece;
  return all;
}

async function publish(channel, message) {
  const response = await request(`/api/publish/${channel}`, { method: 'POST' }, message);
  assert.equal(await text(response), 'published\n');
}

// Publishes knocks until `arrived` (a promise) has come true.
async function knock(channel, arrived, message = KNOCK) {
  let done = false;
  arrived.then(() => (done = true), () => (done = true));
  const deadline = Date.now() + PATIENCE;
  while (!done) {
    assert.ok(Date.now() < deadline, `no knock came through on ${channel}`);
    await publish(channel, message);
    await Promise.race([arrived, new Promise((resolve) => setTimeout(resolve, 100))]);
  }
  await arrived;
}

// What comes piece by piece, to be taken one by one with a deadline.
class Inbox {
  #pieces = [];
  #waiting = null;

  put(piece) {
    this.#pieces.push(piece);
    this.#waiting?.();
  }

  async any() {
    while (this.#pieces.length === 0) {
      await within(new Promise((resolve) => (this.#waiting = resolve)), 'a message');
    }
    return this.#pieces.shift();
  }

  async next() {
    for (;;) {
      const piece = await this.any();
      if (piece !== KNOCK) return piece;
    }
  }
}

async function join() {
  const socket = new WebSocket(`${base.replace('http', 'ws')}/api/websocket`);
  const inbox = new Inbox();
  socket.on('message', (data, isBinary) => inbox.put(isBinary ? data : data.toString()));
  await within(once(socket, 'open'), 'the WebSocket to open');
  const hello = await inbox.next();
  assert.match(hello, /^hello \S+$/);
  const heard = inbox.any();
  await knock('room', heard);
  assert.equal(await heard, KNOCK);
  return { socket, inbox, id: hello.slice(6) };
}

const scenarios = {
  async about() {
    const response = await request('/api/about?x=1', { headers: { 'Grip-Sig': 'forged' } });
    const about = JSON.parse(await text(response));
    assert.equal(about.isProxied, true);
    assert.equal(about.isSigned, true);
    assert.equal(about.url, '/api/about?x=1');
    assert.notEqual(about.headers['grip-sig'], 'forged');
  },

  async 'long-poll'() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (const turn of ['one', 'two', 'three']) {
      const answered = request(`/api/poll/${turn}`, { agent });
      await knock(`poll-${turn}`, answered, turn);
      const response = await answered;
      assert.equal(response.statusCode, 200);
      assert.equal(response.headers['content-length'], String(turn.length + 1));
      assert.equal(response.headers['content-type'], 'text/plain');
      assert.equal(await text(response), `${turn}\n`);
      if (turn !== 'one') assert.equal(response.req.reusedSocket, true);
    }
    agent.destroy();
  },

  async 'long-poll-timeout'() {
    const response = await request('/api/poll/quiet?wait=5');
    assert.equal(response.statusCode, 200);
    assert.equal(await text(response), 'nothing yet\n');
  },

  async stream() {
    const response = await request('/api/stream/news');
    assert.equal(response.statusCode, 200);
    assert.equal(response.headers['transfer-encoding'], 'chunked');
    assert.equal(response.headers['content-type'], 'text/plain');
    assert.equal(response.headers['grip-hold'], undefined);
    const inbox = new Inbox();
    const ended = once(response, 'end');
    let kept = '';
    response.setEncoding('utf8');
    response.on('data', (piece) => {
      const lines = (kept + piece).split('\n');
      kept = lines.pop();
      lines.forEach((line) => inbox.put(line));
    });
    assert.equal(await inbox.next(), '[stream open]');
    const heard = inbox.any();
    await knock('stream-news', heard);
    for (const n of [1, 2, 3, 4, 5]) await publish('stream-news', `line ${n}`);
    await publish('stream-everyone', 'to all');
    for (const n of [1, 2, 3, 4, 5]) assert.equal(await inbox.next(), `line ${n}`);
    assert.equal(await inbox.next(), 'to all');
    await text(await request('/api/close/stream-news', { method: 'POST' }));
    await within(ended, 'the stream to end');
  },

  async broadcast() {
    const members = [await join(), await join(), await join()];
    assert.equal(new Set(members.map(({ id }) => id)).size, 3);
    members[0].socket.send('hello from the first');
    for (const { inbox } of members) assert.equal(await inbox.next(), 'hello from the first');
    for (const n of [1, 2, 3, 4, 5]) members[1].socket.send(`message ${n}`);
    for (const { inbox } of members) {
      for (const n of [1, 2, 3, 4, 5]) assert.equal(await inbox.next(), `message ${n}`);
    }
    for (const n of [1, 2, 3]) {
      members[2].socket.send('/count');
      assert.equal(await members[2].inbox.next(), `count ${n}`);
    }
    const left = once(members[0].socket, 'close');
    members[0].socket.close(1000);
    assert.equal((await within(left, 'the close to be answered'))[0], 1000);
    const sentAway = once(members[1].socket, 'close');
    members[1].socket.send('/bye');
    assert.equal((await within(sentAway, 'the close to come'))[0], 4002);
    await publish('room', 'for who is left');
    assert.equal(await members[2].inbox.next(), 'for who is left');
    members[2].socket.terminate();
  },
};

assert.ok(scenarios[scenario], `no scenario ${scenario}`);
await scenarios[scenario]();
process.exit(0);
