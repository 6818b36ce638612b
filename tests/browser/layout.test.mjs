// How the pages look: nothing overflows on a narrow phone, text can be read in light and dark. With
// LATCHKEY_SCREENSHOTS=DIR each page is also photographed, to be looked at by a person.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { browserForTests } from './lib/browser.mjs';
import { call, gateway, invite, linkMailedTo, live, newcomer, panelLink, personWithShare, phpmyadminUrl, ready, ssoUrl } from './lib/node.mjs';

const browser = browserForTests();
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6cUxmyTbAvO1GDhOXXtYcGFFKK8ZRGFJqUl3GIcFUt jo@laptop';
const LONG = 'a-rather-long-name-that-breaks-nowhere-at-all';

/** Every page with a way there. `signed in` pages come after the browser has opened a panel link of their person. */
async function pages() {
  const { email, share } = await personWithShare();
  const admin = newcomer(LONG);
  const { share: administration } = await invite(admin, { role: 'full_access', log_in_as: 'all' });
  await call(admin, 'POST', `/v1/instances/${live.id}/shares/${administration.id}/accept`, {});
  const closed = await personWithShare({ role: 'developer' });
  await call('panel', 'POST', `/v1/instances/${live.id}/shares/${closed.share.id}/suspend`, {});
  const waiting = newcomer('waiting');
  await invite(waiting);
  const note = 'Please look at the front page.\nThe picture at the top is too wide on my phone.';
  const full = await invite(newcomer(), { role: 'full_access', log_in_as: 'all', note });
  const short = await invite(newcomer(), { expires_at: '2031-01-02T03:04:05Z' });
  return [
    ['invitation', null, full.link],
    ['invitation-short', null, short.link],
    ['dead-link', null, `${gateway}/i/${'A'.repeat(43)}`],
    ['sign-in', null, `${gateway}/sign-in`],
    ['sign-in-problem', null, `${gateway}/sign-in`, wrongAddress],
    ['sign-in-sent', null, `${gateway}/sign-in`, (page) => askForLink(page, newcomer(LONG))],
    ['confirm-sign-in', null, () => panelLink(admin)],
    ['my-instances', email, `${gateway}/`],
    ['my-instances-open', email, `${gateway}/`, openDetails],
    ['my-instances-all', admin, `${gateway}/`, openDetails],
    ['my-instances-owner', ready.owner, `${gateway}/`, openDetails],
    ['my-instances-empty', waiting, `${gateway}/`],
    ['wp-users', admin, `${gateway}/instances/${live.id}/wp-admin`],
    ['file-account', admin, `${gateway}/shares/${administration.id}/files`],
    ['file-account-keys', admin, `${gateway}/shares/${administration.id}/files`, (page) => saveKeys(page, KEY)],
    ['file-account-problem', admin, `${gateway}/shares/${administration.id}/files`, (page) => saveKeys(page, LONG)],
    ['file-account-password', admin, `${gateway}/shares/${administration.id}/files`, makePassword],
    ['file-account-closed', closed.email, `${gateway}/shares/${closed.share.id}/files`],
    ['hand-over', null, () => ssoUrl(email)],
    ['hand-over-used', null, `${gateway}/sso/${'A'.repeat(43)}`],
    ['phpmyadmin', null, () => phpmyadminUrl(admin, live.database)],
    ['phpmyadmin-used', null, `${gateway}/phpmyadmin/${'A'.repeat(43)}`],
    ['not-found', null, `${gateway}/nothing/here`],
    ['redeemer-refusal', null, `${live.url}/.well-known/latchkey-sso`],
  ].map(([name, person, address, then]) => ({ name, person, address, then, share }));
}

async function wrongAddress(page) {
  await page.locator('form').evaluate((form) => { form.noValidate = true; });
  await askForLink(page, 'nobody');
}

async function askForLink(page, address) {
  await page.getByLabel('Your email address').fill(address);
  await page.getByRole('button', { name: 'Send me the link' }).click();
  await page.waitForLoadState();
}

async function saveKeys(page, keys) {
  await page.getByLabel('Your public keys').fill(keys);
  await page.getByRole('button', { name: 'Save the keys' }).click();
  await page.waitForLoadState();
}

async function makePassword(page) {
  await page.getByRole('button', { name: 'Make a new password' }).click();
  await page.locator('.secret').waitFor();
}

async function openDetails(page) {
  await page.locator('details').evaluateAll((all) => all.forEach((details) => { details.open = true; }));
}

async function openPage(page, { person, address, then }) {
  if (person) {
    await page.goto(await panelLink(person));
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForURL(`${gateway}/`);
  }
  await page.goto(typeof address === 'string' ? address : await address());
  await then?.(page);
}

/** What sticks out to the right, in words. */
function overflow() {
  const width = document.documentElement.clientWidth;
  const sticksOut = [...document.body.querySelectorAll('*')].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && (box.right > width + 0.5 || box.left < -0.5);
  });
  const wide = document.documentElement.scrollWidth > width ? [`the page is ${document.documentElement.scrollWidth} px wide`] : [];
  return wide.concat(sticksOut.map((element) => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`));
}

/** Text whose contrast with what is behind it is less than WCAG's AA asks for. */
function faintText() {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const over = (color, behind) => {
    canvas.fillStyle = `rgb(${behind.join(' ')})`;
    canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const chain = [];
    for (let one = element; one; one = one.parentElement) chain.unshift(getComputedStyle(one).backgroundColor);
    const canvasColor = matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
    return chain.reduce((under, color) => over(color, under), canvasColor);
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  return [...document.body.querySelectorAll('*')].filter((element) => hasText(element) && element.checkVisibility())
    .map((element) => {
      const under = behind(element);
      const [one, other] = [light(over(getComputedStyle(element).color, under)), light(under)];
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      return { contrast, text: element.textContent.trim().slice(0, 40) };
    })
    .filter(({ contrast }) => contrast < 4.5)
    .map(({ contrast, text }) => `${contrast.toFixed(2)}: ${text}`);
}

for (const colorScheme of ['light', 'dark']) {
  test(`no page overflows at 320 px and all text can be read, ${colorScheme}`, async (t) => {
    for (const entry of await pages()) {
      const page = await browser.page(t, { colorScheme, viewport: { width: 320, height: 640 } });
      await openPage(page, entry);
      assert.deepEqual(await page.evaluate(overflow), [], entry.name);
      assert.deepEqual(await page.evaluate(faintText), [], entry.name);
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      if (entry.name !== 'redeemer-refusal') {
        assert.equal(background, colorScheme === 'dark' ? 'rgb(15, 20, 18)' : 'rgb(238, 242, 240)', entry.name);
      }
      await photograph(page, entry.name, colorScheme);
      await page.context().close();
    }
  });
}

async function photograph(page, name, colorScheme) {
  const directory = process.env.LATCHKEY_SCREENSHOTS;
  if (!directory) return;
  await mkdir(directory, { recursive: true });
  for (const width of [320, 375, 1280]) {
    await page.setViewportSize({ width, height: width < 1000 ? 720 : 800 });
    await page.screenshot({ path: join(directory, `${name}-${width}-${colorScheme}.png`), fullPage: true });
  }
}
