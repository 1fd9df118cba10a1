-- The audit trail (R1, R2).

-- name: insert_event
INSERT INTO events (cursor, job_no, seq, type, at, actor, task, "index", run_id, data)
VALUES (?, ?, ?, ?, ?, ?, nullif(?, -1), nullif(?, -1), nullif(?, -1), nullif(?, -1));

-- name: last_cursor
SELECT coalesce(max(cursor), 0) FROM events;

-- name: events_of_job
SELECT seq, type, at, actor, task, "index", run_id, data FROM events
WHERE job_no = (SELECT job_no FROM jobs WHERE job_id = ?) AND seq > ? ORDER BY seq LIMIT ?;

-- name: events_after
SELECT events.cursor, jobs.job_id, jobs.tenant, jobs.correlation_id,
  seq, type, at, actor, task, "index", run_id, data
FROM events JOIN jobs ON jobs.job_no = events.job_no
WHERE events.cursor > ? ORDER BY events.cursor LIMIT ?;
