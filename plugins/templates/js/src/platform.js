// The platform, played: names in the adapter's own state, each with the key of the call that made it.

import { state } from '../sdk/index.js';

/** The names of all databases, in order. */
export const names = () => state.keys('databases/').map((key) => key.slice('databases/'.length));

/** The key of the call that made a database, if there is one of this name. */
export const madeBy = (name) => state.text(`databases/${name}`);

/** Makes a database. */
export const create = (name, key) => state.set(`databases/${name}`, key);

/** Removes a database. Who did it is written first: whoever is cut off in between finds that it was them. */
export function remove(name, key) {
  state.set('last-removed-by', key);
  state.remove(`databases/${name}`);
}

/** The key of the call that removed a database last. */
export const lastRemovedBy = () => state.text('last-removed-by');
