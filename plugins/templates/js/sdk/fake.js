// The agent as a test plays it, in memory: `const host = fakeHost();` at the beginning of each test.

import { connect } from './index.js';

const KEY = /^[a-z0-9._/-]{1,128}$/;
const VALUE_MAX_BYTES = 64 * 1024;
const KEYS_MAX = 1000;
const VALUES_MAX_BYTES = 1024 * 1024;

/** A hosting called `h1`, without settings. */
export const hosting = () => ({ id: 'h1', systemUser: 'h1', home: '/home/h1', dbPrefix: 'h1_', settings: [] });

/** An answer to a request, with this body. */
export const response = (status, body) => ({ status, headers: [], body: new TextEncoder().encode(body) });

/**
 * An agent that keeps nothing yet and grants everything. Its limits on what is kept are the agent's.
 *
 * `kept` is what is in the state, `logged` the lines of the log, `elapsed` the milliseconds that have passed, all for the
 * test to read and set; `stateAnswers` is what every function of the state throws, such as `{ tag: 'unavailable' }`.
 * `serves` is the function that answers a request, or throws; without it `http` is denied. `requests` were sent.
 */
export function fakeHost() {
  const host = { kept: new Map(), logged: [], requests: [], elapsed: 0, stateAnswers: undefined, serves: undefined };
  host.deniesState = () => {
    const message = 'state is not granted: it takes `state = true` under [grants]';
    host.stateAnswers = { tag: 'denied', val: { message, grant: '[grants]\nstate = true' } };
  };
  const granted = () => {
    if (host.stateAnswers) throw host.stateAnswers;
  };
  const checked = (key) => {
    granted();
    if (!KEY.test(key)) throw { tag: 'invalid', val: 'key: expected 1 to 128 of a-z, 0-9 and ._-/' };
  };
  connect({
    log: { write: (level, line) => void host.logged.push({ level, line }) },
    http: {
      send: (request) => {
        host.requests.push(request);
        if (host.serves) return host.serves(request);
        throw { tag: 'denied', val: { message: 'http is not granted: it takes `http = ["…"]` under [grants]' } };
      },
    },
    clock: { now: () => Date.UTC(2026, 0, 1) + host.elapsed, elapsed: () => host.elapsed },
    state: {
      get: (key) => (checked(key), host.kept.get(key) ?? null),
      set: (key, value) => {
        checked(key);
        if (value.length > VALUE_MAX_BYTES) {
          throw { tag: 'invalid', val: `value: expected at most ${VALUE_MAX_BYTES} bytes` };
        }
        const others = [...host.kept].filter(([known]) => known !== key);
        const bytes = others.reduce((sum, [, kept]) => sum + kept.length, value.length);
        if (others.length >= KEYS_MAX || bytes > VALUES_MAX_BYTES) throw { tag: 'full' };
        host.kept.set(key, Uint8Array.from(value));
      },
      remove: (key) => (checked(key), void host.kept.delete(key)),
      keys: (prefix) => (granted(), [...host.kept.keys()].filter((key) => key.startsWith(prefix)).sort()),
    },
  });
  return host;
}
