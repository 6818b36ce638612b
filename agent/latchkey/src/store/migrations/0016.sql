-- The share with which an entry left the crontab, until somebody takes it in hand. It was told as residue, and is none: nobody
-- can use what is disabled.
ALTER TABLE cron_entries ADD COLUMN left_with TEXT;
UPDATE cron_entries SET left_with = share WHERE enabled = 0 AND EXISTS (
    SELECT 1 FROM residue WHERE residue.share = cron_entries.share AND kind = 'cron_entry' AND instr(what, cron_entries.id));
DELETE FROM residue WHERE kind = 'cron_entry';
CREATE INDEX cron_entries_left ON cron_entries (left_with) WHERE left_with IS NOT NULL;
