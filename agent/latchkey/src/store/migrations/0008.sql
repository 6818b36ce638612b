-- When a hosting is looked at once more: requests that were under way at the first look are over then.
ALTER TABLE first_uses ADD COLUMN scan_again_at_ms INTEGER;
