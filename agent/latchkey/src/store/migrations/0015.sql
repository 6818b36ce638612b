-- How much a job that has ended keeps of what it wrote and said, and whether that was dropped to make room.
ALTER TABLE jobs ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN output_dropped INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET kept_bytes = LENGTH(CAST(COALESCE(output, '') AS BLOB)) + COALESCE(
    (SELECT SUM(LENGTH(CAST(line AS BLOB))) FROM job_lines WHERE job = jobs.id), 0)
WHERE ended_at_ms IS NOT NULL;
CREATE INDEX jobs_by_hosting ON jobs (hosting, ended_at_ms);
