// The SDK itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fakeHost, response } from '../sdk/fake.js';
import { clock, error, exported, http, log, secret, setting, state } from '../sdk/index.js';

test('an exception goes to the log with its place, and the caller is told failed', () => {
  const host = fakeHost();
  const broken = exported({ readZone: () => undefined.name });
  assert.throws(() => broken.readZone(), { tag: 'failed', val: /^the adapter broke down: TypeError: / });
  const [{ level, line }] = host.logged;
  assert.equal(level, 'error');
  assert.match(line, /^read-zone: TypeError: .* \(at .*sdk\.test\.js/);
  assert.ok(!line.includes('\n'));
});

test('an error of the interface is passed on as it is, and is not logged', () => {
  const host = fakeHost();
  const refuses = exported({ readZone: () => { throw error.invalid('zone', 'a name'); } });
  const passedOn = (seen) => {
    assert.deepEqual(seen, { tag: 'invalid', val: { name: 'zone', expected: 'a name' } });
    return true;
  };
  assert.throws(() => refuses.readZone(), passedOn);
  assert.deepEqual(error.unavailable('busy', 500).val, { message: 'busy', retryAfterMs: 500 });
  assert.deepEqual(host.logged, []);
});

test('text goes into the state and comes back', () => {
  const host = fakeHost();
  for (const text of ['', 'plain', 'ä€𝄞', '100 %', '%41']) {
    state.set('a', text);
    assert.deepEqual(host.kept.get('a'), new TextEncoder().encode(text));
    assert.equal(state.text('a'), text);
  }
  assert.equal(state.text('b'), undefined);
  state.set('a', Uint8Array.of(0xff));
  assert.throws(() => state.text('a'), URIError);
  state.remove('a');
  assert.equal(state.get('a'), undefined);
});

test('the state has the limits that the agent has', () => {
  fakeHost();
  for (const key of ['', 'A', 'a b', 'ä', 'k'.repeat(129)]) assert.throws(() => state.set(key, 'x'), { tag: 'failed' });
  const most = new Uint8Array(64 * 1024);
  assert.throws(() => state.set('long', new Uint8Array(64 * 1024 + 1)), { tag: 'failed' });
  for (let n = 0; n < 16; n += 1) state.set(`long/${n}`, most);
  assert.throws(() => state.set('last', 'x'), { tag: 'refused' });
  fakeHost();
  for (let n = 0; n < 1000; n += 1) state.set(`${n}`, '');
  assert.throws(() => state.set('more', ''), { tag: 'refused' });
});

test('time passes when the test says so, and lines have levels', () => {
  const host = fakeHost();
  host.elapsed = 1500;
  assert.deepEqual([clock.now(), clock.elapsed()], [Date.UTC(2026, 0, 1) + 1500, 1500]);
  log.debug(1);
  log.warn('b');
  assert.deepEqual(host.logged, [{ level: 'debug', line: '1' }, { level: 'warn', line: 'b' }]);
});

test('a setting is found by its name', () => {
  const hosting = { settings: [['a', '1'], ['b', '2']] };
  assert.deepEqual([setting(hosting, 'b'), setting(hosting, 'c')], ['2', undefined]);
});

test('a request is put together from pieces, and its answer can be read', () => {
  const host = fakeHost();
  host.serves = () => response(200, '{"a":"ä"}');
  const headers = { authorization: ['Bearer ', secret('token')] };
  const answer = http.send({ method: 'post', url: 'https://api.example.com/', headers, body: Uint8Array.of(1) });
  assert.deepEqual([answer.status, JSON.parse(answer.text())], [200, { a: 'ä' }]);
  const [{ headers: [{ name, value }], body }] = host.requests;
  assert.deepEqual([name, value[0]], ['authorization', { tag: 'text', val: 'Bearer ' }]);
  assert.deepEqual(value[1], { tag: 'secret', val: { name: 'token', prefix: '', encoding: 'plain' } });
  assert.deepEqual(body, [{ tag: 'bytes', val: Uint8Array.of(1) }]);
});

test('what a request became says whether it may be repeated', () => {
  const host = fakeHost();
  const request = { url: 'https://api.example.com/' };
  assert.throws(() => http.read(request), { tag: 'denied', message: /not granted/ });
  const tags = (thrown) => {
    host.serves = () => { throw thrown; };
    return [http.send, http.read].map((send) => { try { send(request); } catch (seen) { return seen.tag; } });
  };
  assert.deepEqual(tags({ tag: 'no-answer', val: 'cut off' }), ['uncertain', 'unavailable']);
  assert.deepEqual(tags({ tag: 'not-sent', val: 'refused' }), ['unavailable', 'unavailable']);
  assert.deepEqual(tags({ tag: 'invalid', val: 'url' }), ['failed', 'failed']);
  assert.deepEqual(tags({ tag: 'too-many' }), ['failed', 'failed']);
});
