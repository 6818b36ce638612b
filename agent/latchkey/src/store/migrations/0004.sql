-- Rows of one instance, in their order. The index ends with seq by itself: it is the table's rowid.
CREATE INDEX audit_by_instance ON audit (instance);
