-- The result cache, and who needs which objects (R23).

-- name: known_result
SELECT job_id, run_id, result, artifacts, created_at FROM known_results WHERE key = ?;

-- name: put_known_result
INSERT INTO known_results (key, tenant, handler, job_id, run_id, result, artifacts, size_bytes, created_at, used_at, uses)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, run_id = excluded.run_id, result = excluded.result,
  artifacts = excluded.artifacts, size_bytes = excluded.size_bytes, created_at = excluded.created_at, used_at = excluded.used_at;

-- name: count_known_result
UPDATE known_results SET used_at = ?, uses = uses + 1 WHERE key = ?;

-- name: forget_known_result
DELETE FROM known_results WHERE key = ?;

-- name: forget_known_objects
DELETE FROM known_result_objects WHERE key = ?;

-- name: put_known_object
INSERT INTO known_result_objects (object, key) VALUES (?, ?) ON CONFLICT DO UPDATE SET key = excluded.key;

-- name: put_object_use
INSERT INTO object_uses (object, job_no) VALUES (?, ?) ON CONFLICT DO UPDATE SET job_no = excluded.job_no;

-- name: stale_known_results
SELECT key FROM known_results INDEXED BY known_results_by_use
WHERE used_at <= ? AND tenant GLOB ? AND handler GLOB ? ORDER BY used_at LIMIT ?;

-- name: count_stale_known_results
SELECT count(*), coalesce(sum(size_bytes), 0) FROM known_results INDEXED BY known_results_by_use
WHERE used_at <= ? AND tenant GLOB ? AND handler GLOB ?;

-- name: known_results_by_task
SELECT handler, tenant, count(*), sum(uses), sum(size_bytes), min(created_at), max(used_at) FROM known_results
WHERE tenant GLOB ? GROUP BY handler, tenant ORDER BY handler, tenant;
