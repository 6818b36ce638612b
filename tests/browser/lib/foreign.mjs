// A web site of somebody else, on this machine: pages whose form posts itself to wherever a test says.

import { createServer } from 'node:http';

/** Starts the site; it ends with the test. `host` decides whether it is the same site for cookies. */
export async function foreignSite(test, host) {
  const server = createServer((request, answer) => {
    const wanted = new URL(request.url, 'http://foreign').searchParams;
    answer.writeHead(200, { 'Content-Type': 'text/html', 'Referrer-Policy': wanted.get('policy') ?? 'unsafe-url' });
    answer.end(page(wanted.get('action'), JSON.parse(wanted.get('fields') ?? '{}')));
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  test.after(() => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }));
  const origin = `http://${host}:${server.address().port}`;
  return (action, fields = {}, policy = 'unsafe-url') =>
    `${origin}/?${new URLSearchParams({ action, fields: JSON.stringify(fields), policy })}`;
}

function page(action, fields) {
  const escape = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
  const inputs = Object.entries(fields).map(([name, value]) => `<input name="${escape(name)}" value="${escape(value)}">`);
  return `<!doctype html><form method="post" action="${escape(action)}">${inputs.join('')}</form>`
    + '<script>document.forms[0].submit()</script>';
}
