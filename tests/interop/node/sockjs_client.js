// What a sockjs-client does in the tests, in Node and in a browser: it tells everything that happens,
// says something at once, and says goodbye when it has heard what is published.

const MANY = 30;
const LONG = 40_000;
// How long a transport may take to connect.
const PATIENCE_MS = 60_000;

// Characters that once got lost on the way, and a lone half of one.
export const ODD = 'äß€😀 "\\ \u0000\u001f\u00ad\u200c\u2028\u2029\ufeff\uffff \ud83d </script>';

export function play(SockJS, base, transport, channel, tell) {
  const socket = new SockJS(base, null, { transports: [transport], timeout: PATIENCE_MS });
  socket.onopen = () => {
    tell({ kind: 'open', transport: socket.transport });
    socket.send(`join ${channel}`);
    socket.send(ODD);
    for (let n = 0; n < MANY; n += 1) socket.send(`message ${n}`);
    socket.send('long '.repeat(LONG / 5));
  };
  socket.onmessage = ({ data }) => {
    tell({ kind: 'message', data });
    if (data === 'the last one') socket.send('bye');
  };
  socket.onclose = ({ code, reason, wasClean }) => tell({ kind: 'close', code, reason, wasClean });
}
