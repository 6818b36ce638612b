// WP Admin of a site whose web server has no exact location: the form goes to the gateway, and on to a one-use file.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { request } from 'node:https';
import { after, before, test } from 'node:test';

import { accept, assertInWpAdminAs, browserForTests } from './lib/browser.mjs';
import { foreignSite } from './lib/foreign.mjs';
import { call, invite, live, newcomer, personWithShare, ready, ssoUrl } from './lib/node.mjs';

const browser = browserForTests();
const path = `/v1/hostings/${live.hosting}`;

async function redeemBy(sso) {
  const hosting = await call('panel', 'GET', path);
  await call('panel', 'PUT', path, { ...hosting, web: { ...hosting.web, sso } });
}

before(() => redeemBy('script'));
after(() => redeemBy('location'));

const scripts = async () => (await readdir(live.docroot)).filter((name) => name.startsWith('latchkey-'));

/** Presses the button without a browser; answers with where the form is sent on to. */
function press(url) {
  const body = `token=${url.split('/').at(-1)}`;
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': body.length };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', headers, ca: readFileSync(ready.panel.ca), agent: false });
    sent.on('response', (answer) => { answer.resume(); resolve(answer.headers.location); });
    sent.on('error', reject);
    sent.end(body);
  });
}

for (const javaScriptEnabled of [true, false]) {
  test(`one click opens WP Admin ${javaScriptEnabled ? 'with' : 'without'} JavaScript, and the file is gone`, async (t) => {
    const { email } = await personWithShare();
    const page = await browser.page(t, { javaScriptEnabled });
    await page.goto(await ssoUrl(email));
    const before = await scripts();
    await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
    await assertInWpAdminAs(page, 'editor');
    assert.deepEqual(await scripts(), before);
  });
}

test('whoever is signed in gets there without a click', async (t) => {
  const { link } = await invite(newcomer());
  const page = await browser.page(t);
  await accept(page, link);
  await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
  await page.waitForURL(`${live.url}/wp-admin/**`);
  await assertInWpAdminAs(page, 'editor');
});

test('a script that another site posts to is refused and stays good', async (t) => {
  const foreign = await foreignSite(t, 'localhost');
  const { email } = await personWithShare();
  const url = await ssoUrl(email);
  const before = await scripts();
  const page = await browser.page(t);
  // Whoever made the link can find out where it leads.
  const action = await press(url);
  assert.equal((await scripts()).length, before.length + 1);
  for (const policy of ['unsafe-url', 'no-referrer']) {
    const answered = page.waitForResponse((response) => response.url() === action);
    await page.goto(foreign(action, { token: url.split('/').at(-1) }, policy), { waitUntil: 'commit' }).catch(() => {});
    assert.equal((await answered).status(), 403);
    await page.waitForLoadState();
  }
  await page.goto(url);
  await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
  await assertInWpAdminAs(page, 'editor');
  assert.deepEqual(await scripts(), before);
});
