-- Passwords of database users that a share was shown: whoever has one may use it still.
CREATE TABLE shown_passwords (
  hosting TEXT NOT NULL,
  user TEXT NOT NULL,
  share TEXT NOT NULL,
  instance TEXT NOT NULL,
  actor TEXT NOT NULL,
  PRIMARY KEY (hosting, user)
) STRICT, WITHOUT ROWID;

-- Links that open phpMyAdmin once.
CREATE TABLE phpmyadmin_links (
  token_hash BLOB PRIMARY KEY,
  instance TEXT NOT NULL,
  share TEXT,
  actor TEXT NOT NULL,
  database TEXT NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Temporary accounts of phpMyAdmin, written down before they are made: none outlives its session unseen.
CREATE TABLE phpmyadmin_accounts (user TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
