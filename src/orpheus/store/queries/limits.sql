-- Tenants' settings, and the starts that rates still count (R25).

-- name: put_tenant
INSERT INTO tenants (name, settings, updated_at) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET settings = excluded.settings, updated_at = excluded.updated_at;

-- name: all_tenants
SELECT name, settings, updated_at FROM tenants ORDER BY name;

-- name: open_jobs_of_tenant
SELECT coalesce(sum(count), 0) FROM job_counts WHERE tenant = ? AND state IN ('pending', 'queued', 'running');

-- name: job_counts_by_tenant
SELECT tenant, state, sum(count) FROM job_counts GROUP BY tenant, state;

-- name: insert_rate_start
INSERT INTO rate_starts (run_id, scope, at, over_at) VALUES (?, ?, ?, ?);

-- name: forget_rate_starts
DELETE FROM rate_starts WHERE run_id = ?;

-- name: prune_rate_starts
DELETE FROM rate_starts WHERE over_at <= ?;

-- name: all_rate_starts
SELECT run_id, scope, at FROM rate_starts WHERE over_at > ? ORDER BY at, run_id;

-- The oldest task of each lane of a queue; see first_lane and next_lane in ready.sql.
-- name: first_lane_of_queue
SELECT priority, tenant, handler, concurrency_key, ready_seq, ready_at FROM tasks INDEXED BY tasks_ready
WHERE state = 'ready' AND held = 0 AND queue = ?
ORDER BY priority, tenant, handler, concurrency_key, ready_seq LIMIT 1;

-- name: next_lane_of_queue
SELECT priority, tenant, handler, concurrency_key, ready_seq, ready_at FROM tasks INDEXED BY tasks_ready
WHERE state = 'ready' AND held = 0 AND queue = ? AND (priority, tenant, handler, concurrency_key) > (?, ?, ?, ?)
ORDER BY priority, tenant, handler, concurrency_key, ready_seq LIMIT 1;
