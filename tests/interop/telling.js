// How a page of the tests tells what happens in it: one thing after the other, each until it has been
// heard. chromium.py has the other end, which knows by the number what it has heard already.

export function teller(address) {
  const page = crypto.randomUUID?.() ?? `${Date.now()} ${Math.random()}`;
  let number = 0;
  let before = Promise.resolve();
  async function send(body) {
    for (;;) {
      try {
        if ((await fetch(address, { method: 'POST', body })).ok) return;
      } catch {
        // Once more, after a moment.
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  return (told) => {
    number += 1;
    const body = JSON.stringify({ page, number, told });
    before = before.then(() => send(body));
    return before;
  };
}
