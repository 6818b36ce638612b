// The running node, as its ready file describes it: the panel API, the mails, and short ways to a share.

import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const readyFile = process.env.LATCHKEY_READY_FILE;
if (!readyFile) throw new Error('LATCHKEY_READY_FILE must name the ready file of a running demo');

export const ready = JSON.parse(readFileSync(readyFile, 'utf8'));
export const gateway = ready.gateway.url;
export const live = ready.instances[0];
export const second = ready.instances[1];

const credentials = {
  ca: readFileSync(ready.panel.ca),
  cert: readFileSync(ready.panel.cert),
  key: readFileSync(ready.panel.key),
};

/** Calls the panel API as an actor; the answer must be a success. */
export async function call(actor, method, path, body) {
  const { status, text } = await send(actor, method, path, body);
  if (status < 200 || status > 299) throw new Error(`${method} ${path} as ${actor}: ${status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

function send(actor, method, path, body) {
  const headers = { 'Latchkey-Actor': actor, 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() };
  return new Promise((resolve, reject) => {
    const sent = request(`${ready.panel.url}${path}`, { method, headers, agent: false, ...credentials }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => resolve({ status: answer.statusCode, text }));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

let people = 0;

/** An address that nobody had before, also not in another run against this node. */
export function newcomer(name = 'guest') {
  people += 1;
  return `${name}-${people}-${randomUUID().slice(0, 8)}@example.org`;
}

export const asEditor = { log_in_as: { id: 2, login: 'editor' } };

/** Invites a person to an instance as its owner; answers with the share and the link in the mail. */
export async function invite(email, terms = {}, instance = live.id) {
  const input = { email, role: 'view_and_sso', ...asEditor, ...terms };
  const share = await call(ready.owner, 'POST', `/v1/instances/${instance}/shares`, input);
  return { share, link: await linkMailedTo(email, '/i/') };
}

/** A person with an active share. */
export async function personWithShare(terms) {
  const email = newcomer();
  const { share } = await invite(email, terms);
  await call(email, 'POST', `/v1/instances/${live.id}/shares/${share.id}/accept`, {});
  return { email, share };
}

export async function shareState(share) {
  return (await call(ready.owner, 'GET', `/v1/instances/${share.instance}/shares/${share.id}`)).state;
}

export async function revoke(share) {
  return call(ready.owner, 'DELETE', `/v1/instances/${share.instance}/shares/${share.id}`);
}

/** The gateway URL that hands a person over to phpMyAdmin for a database. */
export async function phpmyadminUrl(email, database) {
  return (await call(email, 'POST', `/v1/instances/${live.id}/operations/phpmyadmin.open`, { database })).url;
}

/** The gateway URL that hands a person over to WP Admin. */
export async function ssoUrl(email, instance = live.id) {
  return (await call(email, 'POST', `/v1/instances/${instance}/operations/sso.open`, {})).url;
}

/** A one-time link of the panel that signs a person in to the gateway. */
export async function panelLink(email) {
  return (await call('panel', 'POST', '/v1/gateway/links', { person: email })).url;
}

/** The link with this path in the newest mail to an address; waits for the mail. */
export async function linkMailedTo(email, path) {
  const wanted = new RegExp(`${gateway}${path}[A-Za-z0-9_-]{43}`);
  return until(`a mail with ${path} to ${email}`, async () => {
    for (const mail of (await mailsTo(email)).reverse()) {
      const found = wanted.exec(mail);
      if (found) return found[0];
    }
    return undefined;
  });
}

/** The newest mail to an address that holds some words; waits for the mail. */
export async function mailed(email, words) {
  return until(`a mail with ${words} to ${email}`, async () => (await mailsTo(email)).reverse().find((mail) => mail.includes(words)));
}

async function mailsTo(email) {
  const names = (await readdir(ready.mail)).filter((name) => name.endsWith('.eml')).sort();
  const mails = await Promise.all(names.map((name) => readFile(join(ready.mail, name), 'latin1')));
  return mails.filter((mail) => mail.includes(email)).map(fromQuotedPrintable);
}

function fromQuotedPrintable(text) {
  const joined = text.replace(/=\r?\n/g, '');
  return joined.replace(/=([0-9A-F]{2})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)));
}

/** Waits until a condition gives something, and answers with it. */
export async function until(what, condition, patienceMs = 10_000) {
  const end = Date.now() + patienceMs;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${patienceMs} ms in vain for ${what}`);
    await pause(25);
  }
}

