-- What a hosting had when a share was first used on it: what is new since may be of its person.
CREATE TABLE first_uses (
    share TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    site TEXT NOT NULL,        -- JSON: hosting, docroot, url, in case the instance is gone when it is looked at
    at_ms INTEGER NOT NULL,
    before TEXT NOT NULL,      -- JSON
    to_be_scanned INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Found by looking at the hosting; replaced by the next look.
ALTER TABLE residue ADD COLUMN of_scan INTEGER NOT NULL DEFAULT 0;
