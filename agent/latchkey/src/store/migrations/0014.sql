-- Where the record of an instance ends: what stands before it was about another one of the same name.
CREATE INDEX audit_deletions ON audit (instance, seq) WHERE json_extract(row, '$.operation') = 'instance.delete';
