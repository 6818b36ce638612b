// A person's own file account: reached from My Instances and from the letter, keys and a password set without scripts.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browserForTests } from './lib/browser.mjs';
import { call, gateway, live, mailed, panelLink, personWithShare } from './lib/node.mjs';

const browser = browserForTests();
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6cUxmyTbAvO1GDhOXXtYcGFFKK8ZRGFJqUl3GIcFUt jo@laptop';

/** A developer, signed in to the gateway in a browser that runs no scripts. */
async function developer(t) {
  const { email, share } = await personWithShare({ role: 'developer' });
  const page = await browser.page(t, { javaScriptEnabled: false });
  await page.goto(await panelLink(email));
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${gateway}/`);
  return { email, share, page };
}

const accountOf = async (email, share) =>
  (await call(email, 'GET', `/v1/instances/${live.id}/shares/${share.id}`)).file_account;

test('keys and a password are set on the page that My Instances leads to', async (t) => {
  const { email, share, page } = await developer(t);
  await page.getByRole('link', { name: 'Files by SFTP and FTP' }).click();
  await page.waitForURL(`${gateway}/shares/${share.id}/files`);
  const { login } = await accountOf(email, share);
  assert.match(await page.locator('main').innerText(), new RegExp(`${login.replace('.', '\\.')}[^]*no key yet[^]*no password yet`));

  await page.getByLabel('Your public keys').fill('not a key');
  await page.getByRole('button', { name: 'Save the keys' }).click();
  assert.match(await page.getByRole('alert').innerText(), /^Line 1: /);
  assert.equal(await page.getByLabel('Your public keys').inputValue(), 'not a key', 'what was typed is still there');
  await page.getByLabel('Your public keys').fill(KEY);
  await page.getByRole('button', { name: 'Save the keys' }).click();
  await page.locator('main').getByText(/SHA256:\S+ jo@laptop/).waitFor();
  assert.equal((await accountOf(email, share)).keys.length, 1);

  await page.getByRole('button', { name: 'Make a new password' }).click();
  const password = await page.locator('.secret code').innerText();
  assert.equal(password.length, 24);
  assert.match(await page.locator('.secret').innerText(), /Nobody was connected with this account\.$/);
  assert.equal((await accountOf(email, share)).has_password, true);
  await page.goto(`${gateway}/shares/${share.id}/files`);
  assert.equal((await page.content()).includes(password), false, 'it is shown once');
});

test('the letter leads to the page, and holds no password', async (t) => {
  const { email, share, page } = await developer(t);
  const letter = await mailed(email, `${gateway}/shares/`);
  assert.match(letter, new RegExp(`${gateway}/shares/${share.id}/files`));
  await page.goto(`${gateway}/shares/${share.id}/files`);
  await page.getByRole('button', { name: 'Make a new password' }).click();
  const password = await page.locator('.secret code').innerText();
  assert.equal((await mailed(email, `${gateway}/shares/`)).includes(password), false);
});
