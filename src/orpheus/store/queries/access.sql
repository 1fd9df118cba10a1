-- API keys and the order-level part of the audit trail.

-- name: put_key
INSERT INTO api_keys (key_id, name, role, tenant, digest, priority_cap, created_at, created_by, expires_at, last_used_at,
  revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: all_keys
SELECT key_id, name, role, tenant, digest, priority_cap, created_at, created_by, expires_at, last_used_at, revoked_at
FROM api_keys ORDER BY created_at, key_id;

-- name: revoke_key
UPDATE api_keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL;

-- name: key_used
UPDATE api_keys SET last_used_at = ? WHERE key_id = ?;

-- name: any_key
SELECT EXISTS (SELECT 1 FROM api_keys);

-- name: add_audit
INSERT INTO audit (at, type, actor, subject, tenant, correlation_id, data) VALUES (?, ?, ?, ?, ?, ?, ?);

-- Newest first, within a window of numbers: a filter that matches little must not read the whole trail at once.
-- name: audit_page
SELECT audit_no, at, type, actor, subject, tenant, correlation_id, data FROM audit
WHERE audit_no < :before AND audit_no >= :from AND at >= :after_at AND at < :before_at
  AND (:actor IS NULL OR actor = :actor) AND (:type IS NULL OR type = :type) AND (:tenant IS NULL OR tenant = :tenant)
ORDER BY audit_no DESC LIMIT :limit;

-- What people and programs ordered of jobs, in the same way, of `events` (events.sql, single_events). What workers and the engine did, and what followed from an order,
-- is in the jobs' own events.
-- name: audit_job_events
SELECT e.cursor, e.at, e.type, e.actor, j.job_id, j.tenant, j.correlation_id, e.data, e.task, e."index", e.run_id, e.seq
FROM events AS e JOIN jobs AS j ON j.job_no = e.job_no
WHERE e.group_cursor >= :from AND e.group_cursor < :before + 63 AND e.cursor < :before AND e.cursor >= :from AND e.at >= :after_at AND e.at < :before_at
  AND e.actor NOT IN ('engine', 'worker')
  AND e.type NOT IN ('job.queued', 'job.started', 'job.completed', 'job.failed', 'job.cancelled', 'task.ready', 'task.started',
    'task.waiting', 'task.skipped', 'task.cached', 'task.cancelled')
  AND (:actor IS NULL OR e.actor = :actor) AND (:type IS NULL OR e.type = :type) AND (:tenant IS NULL OR j.tenant = :tenant)
ORDER BY e.group_cursor DESC, e.cursor DESC LIMIT :limit;

-- name: last_audit_no
SELECT coalesce(max(audit_no), 0) FROM audit;

-- name: first_audit_no
SELECT coalesce(min(audit_no), 0) FROM audit;

-- name: newest_cursor
SELECT coalesce(max(cursor), 0) FROM event_groups;

-- name: oldest_cursor
SELECT coalesce(min(cursor), 0) FROM event_groups;

-- name: put_durations
INSERT INTO durations (handler, size_bucket, counts) VALUES (?, ?, ?)
ON CONFLICT (handler, size_bucket) DO UPDATE SET counts = excluded.counts;

-- name: all_durations
SELECT handler, size_bucket, counts FROM durations;
