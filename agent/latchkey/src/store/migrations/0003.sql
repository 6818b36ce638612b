-- When a letter was sent: an address gets so many within an hour.
ALTER TABLE mail_queue ADD COLUMN sent_at_ms INTEGER;
CREATE INDEX mail_sent ON mail_queue (recipient, sent_at_ms) WHERE sent_at_ms IS NOT NULL;
