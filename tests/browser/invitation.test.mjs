// Accepting an invitation: the mail's link, one button, My Instances.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { accept, browserForTests } from './lib/browser.mjs';
import { gateway, invite, linkMailedTo, live, newcomer, personWithShare, ready, revoke, shareState } from './lib/node.mjs';

const browser = browserForTests();

test('the link of an invitation asks for one button and then shows the site in My Instances', async (t) => {
  const { share, link } = await invite(newcomer('anna'), { note: 'Please look at the front page.' });
  const page = await browser.page(t);
  await page.goto(link);
  assert.match(await page.locator('main').innerText(), /Please look at the front page\./);
  assert.equal(await page.locator('input, select, textarea').count(), 0, 'nothing to fill in');
  assert.equal(await page.getByRole('button').count(), 1);
  assert.equal(await shareState(share), 'pending', 'opening the page accepts nothing');

  await page.getByRole('button', { name: 'Accept' }).click();
  await page.waitForURL(`${gateway}/`);
  const card = page.getByRole('article');
  assert.equal(await card.count(), 1);
  assert.match(await card.innerText(), /Live site/);
  assert.ok(await card.getByRole('button', { name: 'Open WP Admin as editor' }).isVisible());
  assert.equal(await shareState(share), 'active');
});

test('a used link says so and leads to the sign-in', async (t) => {
  const { link } = await invite(newcomer());
  await accept(await browser.page(t), link);
  const page = await browser.page(t);
  const answer = await page.goto(link);
  assert.equal(answer.status(), 404);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.waitForURL(`${gateway}/sign-in`);
});

test('a person with a share signs in by an emailed link', async (t) => {
  const { email } = await personWithShare();
  const page = await browser.page(t);
  await page.goto(`${gateway}/`);
  await page.waitForURL(`${gateway}/sign-in`);
  await page.getByLabel('Your email address').fill(email);
  await page.getByRole('button', { name: 'Send me the link' }).click();
  await page.getByRole('heading', { name: 'Look into your inbox' }).waitFor();
  await page.goto(await linkMailedTo(email, '/s/'));
  await page.getByRole('button', { name: 'Sign in' }).click();
  assert.match(await page.getByRole('article').innerText(), /Live site/);
});

test('the answer to an unknown address is the same as to a known one', async (t) => {
  const { email } = await personWithShare();
  const answers = [];
  for (const address of [email, newcomer('stranger'), ready.owner]) {
    const page = await browser.page(t);
    await page.goto(`${gateway}/sign-in`);
    await page.getByLabel('Your email address').fill(address);
    await page.getByRole('button', { name: 'Send me the link' }).click();
    await page.getByRole('heading', { name: 'Look into your inbox' }).waitFor();
    answers.push(await page.content());
  }
  assert.deepEqual(answers, [answers[0], answers[0], answers[0]]);
});

test('whoever gives a share back loses it at once', async (t) => {
  const { share, link } = await invite(newcomer());
  const page = await browser.page(t);
  await accept(page, link);
  await page.getByText('Give this access back').click();
  await page.getByRole('button', { name: 'Give it back' }).click();
  await page.waitForURL((url) => url.origin === gateway);
  assert.equal(await page.getByRole('article').count(), 0);
  assert.notEqual(await shareState(share), 'active');
});

test('signing out ends the session of this browser', async (t) => {
  const { link } = await invite(newcomer());
  const page = await browser.page(t);
  await accept(page, link);
  const [cookie] = await page.context().cookies(gateway);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(`${gateway}/sign-in`);
  await page.context().addCookies([cookie]);
  await page.goto(`${gateway}/`);
  assert.equal(page.url(), `${gateway}/sign-in`, 'not even with the old cookie');
});

test('after the end of the only share the gateway does not know the browser any more', async (t) => {
  const { share, link } = await invite(newcomer());
  const page = await browser.page(t);
  await accept(page, link);
  await revoke({ ...share, instance: live.id });
  await page.goto(`${gateway}/`);
  assert.equal(page.url(), `${gateway}/sign-in`);
});
