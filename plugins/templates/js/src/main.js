// The component: joins the agent's functions and the adapter. Whatever stands here has to be in `wit/world.wit`, too.

import * as clock from 'latchkey:adapter/clock@0.1.0';
import * as log from 'latchkey:adapter/log@0.1.0';
import * as state from 'latchkey:adapter/state@0.1.0';

import { connect, exported } from '../sdk/index.js';
import * as adapter from './adapter.js';

connect({ clock, log, state });

export const accounts = exported(adapter.accounts);
export const databases = exported(adapter.databases);
