-- Looks at sites again after sessions were ended there. A session with `look_at_ms` has ended (and is kept for that look,
-- or as the trace of one that may still be open otherwise); one that must end and has not has none.
ALTER TABLE wordpress_sessions ADD COLUMN look_at_ms INTEGER;
ALTER TABLE wordpress_sessions ADD COLUMN look TEXT;   -- JSON: what was seen so far, and what was there before
