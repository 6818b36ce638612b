-- File accounts: of shares, and of whole hostings. Of passwords only hashes are kept.
CREATE TABLE file_accounts (
    login TEXT PRIMARY KEY,
    share TEXT UNIQUE,         -- whose it is; nothing for one of the whole hosting
    of_hosting TEXT,           -- JSON: hosting, protocol, directory, read_only, made_by, through; for the others nothing
    keys TEXT NOT NULL,        -- JSON list of lines as in authorized_keys
    password_hash TEXT,
    generation INTEGER NOT NULL DEFAULT 1, -- grows when a key or the password changes
    made_at_ms INTEGER NOT NULL,
    CHECK ((share IS NULL) <> (of_hosting IS NULL))
) STRICT;
