// What the adapter does, tried without an agent: `fakeHost()` plays it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fakeHost, hosting } from '../sdk/fake.js';
import { exported } from '../sdk/index.js';
import * as adapter from '../src/adapter.js';

const accounts = exported(adapter.accounts);
const databases = exported(adapter.databases);
const listed = () => databases.listDatabases(hosting()).map((database) => database.name);

test("an account is the hosting's system user and what the operator set", () => {
  const account = accounts.show({ ...hosting(), settings: [['domain', 'shop.example']] });
  assert.deepEqual([account.name, account.primaryDomain], ['h1', 'shop.example']);
  assert.equal(accounts.show(hosting()).primaryDomain, undefined);
});

test('a database is made, listed and deleted', () => {
  const host = fakeHost();
  databases.createDatabase(hosting(), 'k1', 'h1_shop');
  databases.createDatabase(hosting(), 'k2', 'h1_blog');
  assert.deepEqual(listed(), ['h1_blog', 'h1_shop']);
  databases.deleteDatabase(hosting(), 'k3', 'h1_shop');
  assert.deepEqual(listed(), ['h1_blog']);
  assert.equal(host.logged.at(-1).line, 'deleted the database h1_shop');
});

test('a call that is repeated with its key is done once', () => {
  fakeHost();
  databases.createDatabase(hosting(), 'k1', 'h1_shop');
  databases.createDatabase(hosting(), 'k1', 'h1_shop');
  assert.throws(() => databases.createDatabase(hosting(), 'k2', 'h1_shop'), { tag: 'already-exists' });
  databases.deleteDatabase(hosting(), 'k3', 'h1_shop');
  databases.deleteDatabase(hosting(), 'k3', 'h1_shop');
  assert.throws(() => databases.deleteDatabase(hosting(), 'k4', 'h1_shop'), { tag: 'not-found' });
});

test('what the agent refuses is told on', () => {
  const host = fakeHost();
  host.deniesState();
  const create = () => databases.createDatabase(hosting(), 'k1', 'h1_shop');
  assert.throws(create, { tag: 'denied', val: /state = true/ });
  host.stateAnswers = { tag: 'unavailable' };
  assert.throws(create, { tag: 'unavailable' });
});

test('what is not written is unsupported', () => {
  fakeHost();
  assert.throws(() => databases.listUsers(hosting()), { tag: 'unsupported', val: 'this adapter has no list-users' });
});
