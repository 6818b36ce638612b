// An adapter, small and whole: what it knows of the hosting's account, and databases on a platform that is played.
//
// Each call gets a fresh instance: nothing in memory outlives it. `async` functions are not for adapters.

import { error, log, setting } from '../sdk/index.js';
import * as platform from './platform.js';

export const accounts = {
  show(hosting) {
    // The operator may have written a domain under [hostings.ID.settings].
    return { name: hosting.systemUser, primaryDomain: setting(hosting, 'domain'), suspended: false };
  },
};

// What is not written here answers *unsupported*.
export const databases = {
  listDatabases(_hosting) {
    return platform.names().map((name) => ({ name }));
  },

  createDatabase(_hosting, key, name) {
    const madeBy = platform.madeBy(name);
    // The agent repeats this very call: it was done already.
    if (madeBy === key) return;
    if (madeBy !== undefined) throw error.alreadyExists(`there is a database ${name} already`);
    platform.create(name, key);
    // What a platform says it did, and what it did, are two things.
    if (platform.madeBy(name) !== key) {
      throw error.uncertain(`the platform does not list the new database ${name}`);
    }
    log.info(`made the database ${name}`);
  },

  deleteDatabase(_hosting, key, name) {
    if (platform.madeBy(name) === undefined) {
      if (platform.lastRemovedBy() === key) return;
      throw error.notFound(`there is no database ${name}`);
    }
    platform.remove(name, key);
    log.info(`deleted the database ${name}`);
  },
};
