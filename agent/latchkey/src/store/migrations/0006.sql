-- One-use scripts in docroots: written down before there is a file, forgotten when it is known to be gone.
CREATE TABLE sso_scripts (
    name TEXT PRIMARY KEY,
    mark TEXT NOT NULL UNIQUE, -- of the hand-over; it never gets a second one
    instance TEXT NOT NULL,
    site TEXT NOT NULL,        -- JSON: hosting, docroot, url, in case the instance is gone or moved
    expires_at_ms INTEGER NOT NULL,
    path TEXT                  -- where it is on the site; nothing while nobody was told
) STRICT;
