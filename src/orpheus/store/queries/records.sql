-- Logs, uploaded files, queues and workers: written as they come, no decision in between.

-- name: last_log_no
SELECT coalesce(max(log_no), 0) FROM logs;

-- name: insert_log
INSERT INTO logs (log_no, job_no, node, "index", attempt, run_id, at, level, stream, message, fields)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, -1));

-- name: put_file
INSERT INTO files (file_id, tenant, name, key, size_bytes, sha256, content_type, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: file
SELECT file_id, tenant, name, key, size_bytes, sha256, content_type, created_at FROM files WHERE file_id = ?;

-- name: put_queue
INSERT INTO queues (name, paused, settings, updated_at) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET paused = excluded.paused, settings = excluded.settings, updated_at = excluded.updated_at;

-- name: all_queues
SELECT name, paused, settings, updated_at FROM queues ORDER BY name;

-- name: put_worker
INSERT INTO workers (session_id, worker, hello, started_at, last_seen_at, ended_at) VALUES (?, ?, ?, ?, ?, NULL)
ON CONFLICT (session_id) DO UPDATE SET worker = excluded.worker, hello = excluded.hello, last_seen_at = excluded.last_seen_at,
  ended_at = NULL;

-- name: end_worker
UPDATE workers SET ended_at = ?, last_seen_at = ? WHERE session_id = ? AND ended_at IS NULL;

-- name: forget_workers
DELETE FROM workers WHERE ended_at IS NOT NULL AND ended_at < ?;

-- name: all_workers
SELECT session_id, worker, hello, started_at, last_seen_at, ended_at FROM workers ORDER BY started_at;

-- name: worker_names
SELECT session_id, worker FROM workers WHERE session_id IN (SELECT value FROM json_each(?));

-- name: meta
SELECT value FROM meta WHERE key = ?;

-- name: put_meta
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- What the file keeps from its first day.
-- name: keep_meta
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING;
