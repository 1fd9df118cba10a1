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

-- What a job waits for: one task of each kind, the one that has waited longest (bare columns are of the row with the least).
-- name: alike_tasks
SELECT job_no,
  node, "index", generation, state, tenant, queue, handler, priority, concurrency_key, unmet, attempt, run_id, worker,
  ready_seq, ready_at, first_ready_at, started_at, finished_at, wake_at, error, progress, stage, cached, heartbeat,
  items_total, items_released, items_settled, items_failed, items_skipped, stagger_until, superseded, extra,
  min(CASE state WHEN 'ready' THEN ready_at ELSE coalesce(started_at, ready_at) END)
FROM tasks
WHERE job_no = (SELECT job_no FROM jobs WHERE job_id = ?) AND +superseded = 0 AND +state IN ('ready', 'retrying', 'waiting')
GROUP BY node, state, queue, handler, concurrency_key
LIMIT ?;

-- The oldest task of each lane of a queue; see first_lane and next_lane in ready.sql.
-- name: first_lane_of_queue
SELECT priority, tenant, handler, concurrency_key, ready_seq, ready_at FROM tasks INDEXED BY tasks_ready
WHERE state = 'ready' AND held = 0 AND queue = ?
ORDER BY priority, tenant, handler, concurrency_key, ready_seq LIMIT 1;

-- name: next_lane_of_queue
SELECT priority, tenant, handler, concurrency_key, ready_seq, ready_at FROM tasks INDEXED BY tasks_ready
WHERE state = 'ready' AND held = 0 AND queue = ? AND (priority, tenant, handler, concurrency_key) > (?, ?, ?, ?)
ORDER BY priority, tenant, handler, concurrency_key, ready_seq LIMIT 1;
