// Text as UTF-8 and back: components have no TextEncoder.

/** The bytes of a text. */
export function encode(text) {
  return Uint8Array.from(unescapeBytes(encodeURIComponent(text.toWellFormed?.() ?? text)));
}

function* unescapeBytes(escaped) {
  for (let at = 0; at < escaped.length; at += 1) {
    if (escaped[at] === '%') {
      yield Number.parseInt(escaped.slice(at + 1, at + 3), 16);
      at += 2;
    } else {
      yield escaped.charCodeAt(at);
    }
  }
}

/** The text of bytes; throws URIError when they are no UTF-8. */
export function decode(bytes) {
  return decodeURIComponent(Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''));
}
