// From the gateway into WP Admin, and out again when the share ends.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { accept, assertAtLoginForm, assertInWpAdminAs, browserForTests } from './lib/browser.mjs';
import { call, gateway, invite, live, newcomer, panelLink, personWithShare, ready, revoke, ssoUrl } from './lib/node.mjs';

const browser = browserForTests();

test('whoever is signed in comes into WP Admin with one button, as the chosen user', async (t) => {
  const { link } = await invite(newcomer());
  const page = await browser.page(t);
  await accept(page, link);
  await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
  await assertInWpAdminAs(page, 'editor');
});

test('whoever may be anybody chooses among the WordPress users', async (t) => {
  const { link } = await invite(newcomer(), { log_in_as: 'all' });
  const page = await browser.page(t);
  await accept(page, link);
  await page.getByRole('link', { name: 'Open WP Admin as' }).click();
  await page.getByRole('button', { name: /author/i }).first().click();
  await assertInWpAdminAs(page, 'author');
});

test('an owner comes in by a link of the panel', async (t) => {
  const page = await browser.page(t);
  await page.goto(await panelLink(ready.owner));
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'My Instances' }).waitFor();
  assert.equal(await page.getByRole('article').count(), 2);
});

test('a link that somebody sent needs a click and says whom one becomes', async (t) => {
  const { email } = await personWithShare();
  const page = await browser.page(t);
  await page.goto(await ssoUrl(email));
  assert.equal(await page.locator('script').count(), 0);
  assert.match(await page.locator('main').innerText(), new RegExp(`the WordPress user editor.*${email}`, 's'));
  await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
  await assertInWpAdminAs(page, 'editor');
});

test('somebody else who is signed in is not handed over by itself', async (t) => {
  const { email } = await personWithShare();
  const { link } = await invite(newcomer('other'));
  const page = await browser.page(t);
  await accept(page, link);
  await page.goto(await ssoUrl(email));
  assert.equal(await page.locator('script').count(), 0);
  assert.ok(await page.getByRole('button', { name: 'Open WP Admin as editor' }).isVisible());
});

test('looking at a link does not use it up, and going in does', async (t) => {
  const { email } = await personWithShare();
  const url = await ssoUrl(email);
  const page = await browser.page(t);
  await page.goto(url);
  await page.goto(url);
  await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
  await assertInWpAdminAs(page, 'editor');
  assert.equal((await page.goto(url)).status(), 404);
  assert.match(await page.locator('main').innerText(), /used already/);
});

test('going back to the hand-over does not post it again', async (t) => {
  const { link } = await invite(newcomer());
  const page = await browser.page(t);
  await accept(page, link);
  await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
  await page.waitForURL(`${live.url}/wp-admin/**`);
  await page.goBack();
  await page.waitForURL(`${gateway}/**`);
  await page.waitForLoadState('networkidle');
  assert.ok(page.url().startsWith(gateway), page.url());
});

for (const [what, end] of [
  ['revoked', (share) => revoke(share)],
  ['suspended', (share) => call(ready.owner, 'POST', `/v1/instances/${share.instance}/shares/${share.id}/suspend`, {})],
]) {
  test(`after a share is ${what} the open tab's next navigation lands on the login form`, async (t) => {
    const { email, share } = await personWithShare();
    const page = await browser.page(t);
    await page.goto(await ssoUrl(email));
    await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
    await assertInWpAdminAs(page, 'editor');
    const { ended } = await end({ ...share, instance: live.id });
    assert.equal(ended.closed.wordpress, 1);
    await page.locator('#adminmenu a[href="edit.php"]').first().click();
    await page.locator('#loginform').waitFor();
    await assertAtLoginForm(page);
  });
}

test('everything works without JavaScript', async (t) => {
  const { link } = await invite(newcomer(), { log_in_as: 'all' });
  const page = await browser.page(t, { javaScriptEnabled: false });
  await accept(page, link);
  await page.getByRole('link', { name: 'Open WP Admin as' }).click();
  await page.getByRole('button', { name: /editor/i }).first().click();
  await page.getByRole('button', { name: 'Open WP Admin as editor' }).click();
  await assertInWpAdminAs(page, 'editor');
  await page.goto(`${gateway}/`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(`${gateway}/sign-in`);
});
