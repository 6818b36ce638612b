// What an adapter is written with in JavaScript: the agent's functions, errors, and what stands around the exports.
//
// The words and rules of each function are in `wit/deps/latchkey-adapter`. Names are in camelCase, an option that is
// absent is `undefined` or left out, a list of bytes is a `Uint8Array`, a variant `{ tag, val }`.

import { decode, encode } from './text.js';

let agent;

/** Says who carries out the agent's functions: the agent in a component, `fakeHost()` in a test. */
export function connect(functions) {
  agent = functions;
}

/** What a function of an adapter throws: `tag` and `val` are those of `types.error`. */
export class AdapterError extends Error {
  constructor(tag, val) {
    super(typeof val === 'string' ? val : (val.message ?? val.expected));
    this.name = 'AdapterError';
    this.tag = tag;
    this.val = val;
  }
}

/** One for each case of `types.error`, to be thrown. The words are for people, without secrets. */
export const error = {
  notFound: (message) => new AdapterError('not-found', message),
  alreadyExists: (message) => new AdapterError('already-exists', message),
  /** The name of the parameter as the WIT writes it, and what was expected. */
  invalid: (name, expected) => new AdapterError('invalid', { name, expected }),
  changed: (message) => new AdapterError('changed', message),
  refused: (message) => new AdapterError('refused', message),
  unsupported: (message) => new AdapterError('unsupported', message),
  denied: (message) => new AdapterError('denied', message),
  /** Nothing happened, and it may work later: the agent repeats the call. */
  unavailable: (message, retryAfterMs) => new AdapterError('unavailable', { message, retryAfterMs }),
  uncertain: (message) => new AdapterError('uncertain', message),
  failed: (message) => new AdapterError('failed', message),
};

/** Lines for the agent's log. Never write secrets. */
export const log = {
  debug: (line) => agent.log.write('debug', String(line)),
  info: (line) => agent.log.write('info', String(line)),
  warn: (line) => agent.log.write('warn', String(line)),
  error: (line) => agent.log.write('error', String(line)),
};

/** The time, in milliseconds: since 1970, and since the call began. `Date.now()` does not work in a component. */
export const clock = {
  now: () => agent.clock.now(),
  elapsed: () => agent.clock.elapsed(),
};

/** A few values that the agent keeps, apart for each hosting. adapter.toml asks with `state = true`. */
export const state = {
  /** The bytes of a key, or undefined. */
  get: (key) => asked(() => agent.state.get(key)) ?? undefined,
  /** The text of a key, or undefined. */
  text: (key) => {
    const bytes = state.get(key);
    return bytes === undefined ? undefined : decode(bytes);
  },
  /** Sets a key to a text or to bytes. */
  set: (key, value) => asked(() => agent.state.set(key, typeof value === 'string' ? encode(value) : value)),
  /** Forgets a key, also one that is not there. */
  remove: (key) => asked(() => agent.state.remove(key)),
  /** All keys that begin so, in order. */
  keys: (prefix) => asked(() => agent.state.keys(prefix)),
};

/**
 * HTTP requests to the origins that are granted. adapter.toml asks with `http = ["https://api.example.com"]`; the component
 * imports it when `wit/world.wit` and `src/main.js` say so, as they do for `state`.
 *
 * A request is `{ method, url, headers, body, timeoutMs }`: the method is `get` unless given, `headers` an object, and the
 * value of a header and the body are a text, bytes, a `secret(…)`, or a list of these. An answer is `{ status, headers, body }`
 * and has `text()`. Redirects are answers like any other; the agent never repeats a request by itself.
 */
export const http = {
  /** Sends a request that changes something: what was sent and has no answer is *uncertain*. Read back before you throw. */
  send: (request) => sent(request, error.uncertain),
  /** Sends a request that only reads: it may be repeated when there is no answer. */
  read: (request) => sent(request, error.unavailable),
};

/** A secret in its place, by its name: encoded as `plain`, `percent`, `json` or `base64`, together with the text before it. */
export const secret = (name, encoding = 'plain', prefix = '') => ({ tag: 'secret', val: { name, prefix, encoding } });

/** What the operator set for the hosting under this name, if anything. */
export const setting = (hosting, name) => hosting.settings.find(([known]) => known === name)?.[1];

/**
 * An interface as the component exports it: what is not written answers *unsupported*; an exception that is none of
 * `error` goes to the log with its stack, and the caller is told *failed*.
 */
export const exported = (functions) =>
  new Proxy(functions, { get: (written, name) => (...parameters) => guarded(written, name, parameters) });

function guarded(written, name, parameters) {
  try {
    if (written[name] === undefined) throw error.unsupported(`this adapter has no ${kebab(String(name))}`);
    return written[name](...parameters);
  } catch (thrown) {
    // The component knows an error by its plain shape only: any Error would end the instance.
    if (thrown instanceof AdapterError) throw { tag: thrown.tag, val: thrown.val };
    const words = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
    log.error(`${kebab(String(name))}: ${words}${places(thrown?.stack)}`);
    throw { tag: 'failed', val: `the adapter broke down: ${words}` };
  }
}

function sent({ method = 'get', url, headers = {}, body = [], timeoutMs }, noAnswer) {
  const named = Object.entries(headers).map(([name, value]) => ({ name, value: pieces(value) }));
  try {
    const answer = agent.http.send({ method, url, headers: named, body: pieces(body), timeoutMs });
    return { ...answer, text: () => decode(answer.body) };
  } catch (thrown) {
    const refused = thrown?.payload ?? thrown;
    switch (refused?.tag) {
      case 'denied':
        throw error.denied(refused.val.message);
      case 'invalid':
        throw error.failed(`the adapter's request: ${refused.val}`);
      case 'too-many':
        throw error.failed('the adapter made more requests than a call may');
      case 'not-sent':
        throw error.unavailable(refused.val);
      case 'no-answer':
        throw noAnswer(refused.val);
      case 'too-long':
        throw error.uncertain(`the platform's answer is longer than ${refused.val} bytes`);
      default:
        throw thrown;
    }
  }
}

const pieces = (value) => (Array.isArray(value) ? value : [value]).map(piece);

function piece(value) {
  if (typeof value === 'string') return { tag: 'text', val: value };
  return value instanceof Uint8Array ? { tag: 'bytes', val: value } : value;
}

/** The stack in one line. */
function places(stack) {
  const lines = String(stack ?? '').split('\n').map((line) => line.trim()).filter((line) => line.startsWith('at '));
  return lines.length === 0 ? '' : ` (${lines.join(', ')})`;
}

const kebab = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Calls the agent; what it refuses becomes an error that says whether to try again. */
function asked(call) {
  try {
    return call();
  } catch (thrown) {
    const refused = thrown?.payload ?? thrown;
    switch (refused?.tag) {
      case 'denied':
        throw error.denied(refused.val.message);
      case 'full':
        throw error.refused("the adapter's state is full");
      case 'unavailable':
        throw error.unavailable("the agent cannot reach the adapter's state");
      case 'invalid':
        throw error.failed(`the adapter's state: ${refused.val}`);
      default:
        throw thrown;
    }
  }
}
