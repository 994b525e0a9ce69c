// npm's sockjs-client in Node: `node sockjs.js BASE TRANSPORT CHANNEL`. Prints a line of JSON for
// everything that happens, and ends when it is closed.

import SockJS from 'sockjs-client';
import { play } from './sockjs_client.js';

const [base, transport, channel] = process.argv.slice(2);
play(SockJS, base, transport, channel, (told) => {
  process.stdout.write(`${JSON.stringify(told)}\n`);
  if (told.kind === 'close') process.exitCode = 0;
});
