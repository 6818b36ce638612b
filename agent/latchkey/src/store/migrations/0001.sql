-- People, hostings, instances and shares: what decisions are made from.
CREATE TABLE people (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT
) STRICT;

CREATE TABLE hostings (
    id TEXT PRIMARY KEY,
    system_user TEXT NOT NULL,
    uid INTEGER NOT NULL,
    home TEXT NOT NULL,
    db_prefix TEXT NOT NULL UNIQUE,
    owners TEXT NOT NULL,      -- JSON list of person ids
    adapters TEXT NOT NULL,    -- JSON list of names
    state TEXT NOT NULL,
    php TEXT NOT NULL,         -- JSON
    web TEXT NOT NULL,         -- JSON
    log_paths TEXT NOT NULL    -- JSON list
) STRICT;

CREATE TABLE instances (
    id TEXT PRIMARY KEY,
    hosting TEXT NOT NULL REFERENCES hostings (id),
    docroot TEXT NOT NULL,
    url TEXT NOT NULL,
    label TEXT NOT NULL,
    database_name TEXT NOT NULL,
    owners TEXT NOT NULL,      -- JSON list of person ids
    staging_of TEXT
) STRICT;

CREATE TABLE shares (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL REFERENCES people (id),
    instance TEXT NOT NULL,
    role TEXT NOT NULL,
    privileges TEXT NOT NULL,  -- JSON list of ids
    log_in_as TEXT,            -- JSON: "all" or {id, login}
    file_access TEXT NOT NULL, -- JSON
    expires_at_ms INTEGER,
    state TEXT NOT NULL,
    granted_by TEXT NOT NULL,  -- JSON
    apply_to_staging INTEGER NOT NULL,
    linked_to TEXT,
    follows INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    note TEXT,
    created_at_ms INTEGER NOT NULL,
    accepted_at_ms INTEGER,
    pinned_is_administrator INTEGER,
    log_in_as_mismatch TEXT,
    expiry_announced INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX shares_by_instance ON shares (instance);

-- One-time links. Only hashes of tokens are kept.
CREATE TABLE invitations (
    share TEXT PRIMARY KEY REFERENCES shares (id),
    token_hash BLOB NOT NULL UNIQUE,
    expires_at_ms INTEGER NOT NULL,
    sent_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE gateway_links (
    token_hash BLOB PRIMARY KEY,
    person TEXT NOT NULL REFERENCES people (id),
    expires_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE gateway_sessions (
    token_hash BLOB PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    person TEXT NOT NULL REFERENCES people (id),
    opened_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    address TEXT NOT NULL
) STRICT;

-- WP Admin: hand-overs that can be redeemed once, the sessions they opened, and what was there before.
CREATE TABLE hand_overs (
    token_hash BLOB PRIMARY KEY,
    mark TEXT NOT NULL UNIQUE,
    instance TEXT NOT NULL,
    share TEXT,
    actor TEXT NOT NULL,       -- JSON: "panel" or a person id
    wp_user_id INTEGER NOT NULL,
    wp_login TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER
) STRICT;

CREATE TABLE wordpress_sessions (
    mark TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    site TEXT NOT NULL,        -- JSON: hosting, docroot, url, in case the instance is gone when the session is ended
    share TEXT,
    actor TEXT NOT NULL,
    wp_user_id INTEGER NOT NULL,
    wp_login TEXT NOT NULL,
    opened_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    ending INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE sso_baselines (
    share TEXT NOT NULL,
    wp_user_id INTEGER NOT NULL,
    wp_login TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    facts TEXT NOT NULL,       -- JSON
    PRIMARY KEY (share, wp_user_id)
) STRICT;

CREATE TABLE residue (
    share TEXT NOT NULL,
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    undo TEXT,
    PRIMARY KEY (share, kind, what)
) STRICT;

-- Letters that wait to be sent. The texts are removed once they are sent: they may hold a one-time link.
CREATE TABLE mail_queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    share TEXT,
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body_text TEXT,
    body_html TEXT,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at_ms INTEGER NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX mail_waiting ON mail_queue (next_at_ms) WHERE state = 'queued';
CREATE INDEX mail_of_share ON mail_queue (share);

CREATE TABLE idempotency_keys (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    status INTEGER,
    reply BLOB,
    made_at_ms INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    row TEXT NOT NULL,         -- JSON, exactly the bytes that were hashed
    instance TEXT,
    hash BLOB NOT NULL         -- SHA-256 of the previous hash and the row
) STRICT;
