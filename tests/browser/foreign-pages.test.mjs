// What pages of other sites cannot do with somebody's browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { accept, assertAtLoginForm, assertInWpAdminAs, browserForTests } from './lib/browser.mjs';
import { foreignSite } from './lib/foreign.mjs';
import { gateway, invite, live, newcomer, personWithShare, shareState, ssoUrl } from './lib/node.mjs';

const browser = browserForTests();
const REDEEMER = `${live.url}/.well-known/latchkey-sso`;

/** Another site, another origin of the same site, and a page that hides where it comes from. */
const ELSEWHERE = [
  ['another site', 'localhost', 'unsafe-url'],
  ['another port', '127.0.0.1', 'unsafe-url'],
  ['a page that hides its origin', 'localhost', 'no-referrer'],
];

/** Opens a page that posts a form by itself, and answers with the status that the form got. */
async function postFrom(page, url, action) {
  const answered = page.waitForResponse((response) => response.url() === action && response.request().method() === 'POST');
  await page.goto(url, { waitUntil: 'commit' }).catch(() => {});
  const status = (await answered).status();
  await page.waitForLoadState();
  return status;
}

for (const [what, host, policy] of ELSEWHERE) {
  test(`a form that ${what} posts to the gateway is refused`, async (t) => {
    const foreign = await foreignSite(t, host);
    const { share: own, link } = await invite(newcomer());
    const { share: offered, link: offer } = await invite(newcomer('other'));
    const page = await browser.page(t);
    await accept(page, link);
    for (const action of [offer, `${gateway}/shares/${own.id}/leave`, `${gateway}/sign-out`, `${gateway}/instances/live/wp-admin`]) {
      // Without the cookie, which browsers keep from other sites, it is no more than a visit: off to the sign-in.
      const status = await postFrom(page, foreign(action, { csrf: 'guess' }, policy), action);
      assert.ok(status === 403 || (action !== offer && status === 303), `${action}: ${status}`);
      if (status === 303) assert.equal(page.url(), `${gateway}/sign-in`);
    }
    assert.equal(await shareState({ ...offered, instance: live.id }), 'pending');
    assert.equal(await shareState({ ...own, instance: live.id }), 'active');
    await page.goto(`${gateway}/`);
    assert.equal(await page.getByRole('article').count(), 1, 'still signed in');
  });

  test(`a token that ${what} posts to the site is refused and stays good`, async (t) => {
    const foreign = await foreignSite(t, host);
    const { email } = await personWithShare();
    const url = await ssoUrl(email);
    const page = await browser.page(t);
    const status = await postFrom(page, foreign(REDEEMER, { token: url.split('/').at(-1) }, policy), REDEEMER);
    assert.equal(status, 403);
    assert.match(await page.locator('main').innerText(), /You were not signed in/);
    await assertAtLoginForm(page);
    await page.goto(url);
    await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
    await assertInWpAdminAs(page, 'editor');
  });
}

test('no page of another site can frame the gateway', async (t) => {
  const page = await browser.page(t);
  const answer = await page.goto(`${gateway}/sign-in`);
  assert.match(answer.headers()['content-security-policy'], /frame-ancestors 'none'/);
  await page.goto(`${live.url}/`);
  await page.evaluate((source) => {
    const frame = document.createElement('iframe');
    frame.src = source;
    document.body.append(frame);
    return new Promise((resolve) => { frame.addEventListener('load', resolve); });
  }, `${gateway}/sign-in`);
  const frame = page.frames().find((one) => one !== page.mainFrame());
  assert.ok(!(await frame.content()).includes('Your email address'));
});
