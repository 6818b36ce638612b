// Chromium, and what tests do in it again and again. It reaches this machine only.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';

import { live } from './node.mjs';

const FLAGS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-dev-shm-usage',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/** One browser for the tests of a file; each test opens its own contexts in it, which share nothing. */
export function browserForTests() {
  let browser;
  before(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  });
  after(() => browser?.close());
  return {
    /** A page of a new context: a browser that knows nobody. It is closed when the test ends. */
    async page(test, options = {}) {
      const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
      context.setDefaultTimeout(15_000);
      test.after(() => context.close());
      return context.newPage();
    },
  };
}

/** Accepts an invitation in this browser, which is signed in from then on. */
export async function accept(page, link) {
  await page.goto(link);
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByRole('heading', { name: 'My Instances' }).waitFor();
}

/** Waits for WP Admin, and checks whose it is. */
export async function assertInWpAdminAs(page, login, site = live.url) {
  await page.waitForURL(`${site}/wp-admin/**`);
  await page.goto(`${site}/wp-admin/profile.php`);
  assert.equal(await page.locator('#user_login').inputValue(), login);
}

/** Checks that the site does not know this browser. */
export async function assertAtLoginForm(page, site = live.url) {
  await page.goto(`${site}/wp-admin/`);
  assert.equal(new URL(page.url()).pathname, '/wp-login.php');
  await page.locator('#loginform').waitFor();
}
