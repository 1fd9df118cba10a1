-- Jobs that nobody has approved yet, the longest waiting first. A job that needs no approval pays nothing for it; one that
-- was rejected stays in it until it is pruned.
CREATE INDEX jobs_to_approve ON jobs (created_at) WHERE requires_approval = 1 AND approved_at IS NULL;
