// From the gateway into phpMyAdmin, for one database, and out again when the share ends.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browserForTests } from './lib/browser.mjs';
import { live, personWithShare, phpmyadminUrl, ready, revoke, second } from './lib/node.mjs';

const browser = browserForTests();
const MAY = { role: 'custom', privileges: ['hosting.phpmyadmin_sso'], log_in_as: undefined };

/** Opens a database in phpMyAdmin, in a tab of its own. */
async function open(page, email, instance) {
  await page.goto(await phpmyadminUrl(email, instance.database));
  assert.match(await page.locator('main').innerText(), new RegExp(instance.database));
  await page.getByRole('button', { name: 'Open phpMyAdmin' }).click();
  await page.waitForURL(`${ready.phpmyadmin.url}/latchkey/**`);
  await page.getByRole('link', { name: 'wp_options' }).first().waitFor();
}

test('two databases are open in two tabs, each its own, until the share ends', async (t) => {
  const { email, share } = await personWithShare(MAY);
  const page = await browser.page(t);
  await open(page, email, live);
  const beside = await page.context().newPage();
  await open(beside, email, second);
  for (const [tab, instance, other] of [[page, live, second], [beside, second, live]]) {
    await tab.reload();
    await tab.getByRole('link', { name: 'wp_options' }).first().waitFor();
    const text = await tab.locator('body').innerText();
    assert.ok(text.includes(instance.database), text);
    assert.ok(!text.includes(other.database), text);
  }
  const { ended } = await revoke(share);
  assert.equal(ended.closed.phpmyadmin, 2);
  for (const tab of [page, beside]) {
    await tab.reload();
    assert.match(await tab.locator('body').innerText(), /signed out of phpMyAdmin, or your access has ended/);
  }
});

test('a query is run as the temporary account, and other databases are not there', async (t) => {
  const { email } = await personWithShare(MAY);
  const page = await browser.page(t);
  await open(page, email, live);
  const address = new URL(page.url());
  address.search = `?route=/database/sql&db=${live.database}`;
  await page.goto(address.href);
  const run = async (statement) => {
    await page.locator('#sqlqueryform .CodeMirror').evaluate((editor, text) => editor.CodeMirror.setValue(text), statement);
    await page.locator('#button_submit_query').click();
  };
  await run('SELECT CURRENT_USER() AS who, COUNT(*) AS sites FROM wp_options WHERE option_name = "siteurl"');
  await page.getByRole('cell', { name: /^latchkey_tmp_[0-9a-f]{16}@localhost$/ }).waitFor();
  await page.goto(address.href);
  await run(`SELECT * FROM \`${second.database}\`.wp_users`);
  await page.getByText(/command denied to user/).first().waitFor();
});
