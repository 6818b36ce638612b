-- What adapters keep, apart for each hosting. No secrets.
CREATE TABLE adapter_state (
    adapter TEXT NOT NULL,
    hosting TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (adapter, hosting, key)
) STRICT, WITHOUT ROWID;
