-- What may be claimed, what is due, what runs: the questions of claims, timers and start-up (R7, R25, R26).

-- Sources (core/dispatch.py) one after the other: each step seeks past all rows of the one before.
-- name: first_lane
SELECT queue, priority, tenant, handler, concurrency_key, ready_seq FROM tasks INDEXED BY tasks_ready
WHERE state = 'ready' AND held = 0
ORDER BY queue, priority, tenant, handler, concurrency_key, ready_seq LIMIT 1;

-- A missing key sorts first and compares with nothing, so '' is where the keys of the same prefix begin.
-- name: next_lane
SELECT queue, priority, tenant, handler, concurrency_key, ready_seq FROM tasks INDEXED BY tasks_ready
WHERE state = 'ready' AND held = 0
  AND (queue, priority, tenant, handler, concurrency_key) > (?, ?, ?, ?, ?)
ORDER BY queue, priority, tenant, handler, concurrency_key, ready_seq LIMIT 1;

-- name: lanes_of_job
SELECT queue, priority, tenant, handler, concurrency_key, min(ready_seq) FROM tasks
WHERE job_no = ? AND +state = 'ready' AND +held = 0
GROUP BY queue, priority, tenant, handler, concurrency_key;

-- The next tasks of one source, first in first out. `is_plain`: the row holds nothing but what a task has that became ready and was
-- never begun, so what its source says and these few columns are all of it (rows.py: plain_ready_task).
-- name: ready_window
SELECT jobs.job_id, tasks.node, tasks."index", tasks.generation, tasks.ready_seq, jobs.definition_id, tasks.job_no, tasks.unmet,
  tasks.ready_at, tasks.first_ready_at,
  tasks.attempt = 0 AND tasks.run_id IS NULL AND tasks.worker IS NULL AND tasks.started_at IS NULL
  AND tasks.finished_at IS NULL AND tasks.wake_at IS NULL AND tasks.error IS NULL AND tasks.progress = 0.0
  AND tasks.stage IS NULL AND tasks.cached = 0 AND tasks.heartbeat IS NULL AND tasks.items_total = 0
  AND tasks.items_released = 0 AND tasks.items_settled = 0 AND tasks.items_failed = 0 AND tasks.items_skipped = 0
  AND tasks.stagger_until IS NULL AND tasks.superseded = 0 AND tasks.extra IS NULL AS is_plain
FROM tasks INDEXED BY tasks_ready JOIN jobs ON jobs.job_no = tasks.job_no
WHERE tasks.state = 'ready' AND tasks.held = 0
  AND tasks.queue = ? AND tasks.priority = ? AND tasks.tenant = ? AND tasks.handler = ? AND tasks.concurrency_key IS ?
  AND tasks.ready_seq > ?
ORDER BY tasks.ready_seq LIMIT ?;

-- All columns of their rows.
-- name: ready_rows
SELECT jobs.job_id, tasks.job_no,
  tasks.node, tasks."index", tasks.generation, tasks.state, tasks.tenant, tasks.queue, tasks.handler, tasks.priority,
  tasks.concurrency_key, tasks.unmet, tasks.attempt, tasks.run_id, tasks.worker, tasks.ready_seq, tasks.ready_at,
  tasks.first_ready_at, tasks.started_at, tasks.finished_at, tasks.wake_at, tasks.error, tasks.progress, tasks.stage,
  tasks.cached, tasks.heartbeat, tasks.items_total, tasks.items_released, tasks.items_settled, tasks.items_failed,
  tasks.items_skipped, tasks.stagger_until, tasks.superseded, tasks.extra
FROM tasks INDEXED BY tasks_ready JOIN jobs ON jobs.job_no = tasks.job_no
WHERE tasks.state = 'ready' AND tasks.held = 0
  AND tasks.queue = ? AND tasks.priority = ? AND tasks.tenant = ? AND tasks.handler = ? AND tasks.concurrency_key IS ?
  AND tasks.ready_seq > ?
ORDER BY tasks.ready_seq LIMIT ?;

-- name: hold_ready_tasks
UPDATE tasks SET held = ? WHERE job_no = ? AND +state = 'ready' AND +held <> ?;

-- name: due_jobs
SELECT job_id FROM jobs INDEXED BY jobs_due WHERE wake_at IS NOT NULL AND wake_at <= ? ORDER BY wake_at, job_no LIMIT ?;

-- name: due_tasks
SELECT jobs.job_id, tasks.node, tasks."index" FROM tasks INDEXED BY tasks_due JOIN jobs ON jobs.job_no = tasks.job_no
WHERE tasks.wake_at IS NOT NULL AND tasks.wake_at <= ? AND tasks.superseded = 0
ORDER BY tasks.wake_at, tasks.job_no, tasks.node, tasks."index" LIMIT ?;

-- name: next_job_wake
SELECT min(wake_at) FROM jobs INDEXED BY jobs_due WHERE wake_at IS NOT NULL;

-- name: next_task_wake
SELECT min(wake_at) FROM tasks INDEXED BY tasks_due WHERE wake_at IS NOT NULL;

-- Of the runs that memory does not know: those whose task waits for a callback.
-- name: waiting_task_of_run
SELECT jobs.job_id, tasks.node, tasks."index" FROM tasks INDEXED BY tasks_waiting JOIN jobs ON jobs.job_no = tasks.job_no
WHERE tasks.run_id = ? AND tasks.state = 'waiting' AND tasks.superseded = 0;

-- By way of their jobs: an index of them alone would be entered and left by every attempt, and is asked once in a server's life.
-- name: running_tasks
SELECT jobs.job_id,
  tasks.node, tasks."index", tasks.generation, tasks.state, tasks.tenant, tasks.queue, tasks.handler, tasks.priority,
  tasks.concurrency_key, tasks.unmet, tasks.attempt, tasks.run_id, tasks.worker, tasks.ready_seq, tasks.ready_at,
  tasks.first_ready_at, tasks.started_at, tasks.finished_at, tasks.wake_at, tasks.error, tasks.progress, tasks.stage,
  tasks.cached, tasks.heartbeat, tasks.items_total, tasks.items_released, tasks.items_settled, tasks.items_failed,
  tasks.items_skipped, tasks.stagger_until, tasks.superseded, tasks.extra
FROM jobs INDEXED BY jobs_by_state CROSS JOIN tasks ON tasks.job_no = jobs.job_no
WHERE jobs.state = 'running' AND jobs.runs_active > 0
  AND +tasks.state = 'running' AND tasks.run_id IS NOT NULL AND tasks.superseded = 0
ORDER BY tasks.run_id;

-- name: jobs_to_finalise
SELECT job_id, closing, generation FROM jobs INDEXED BY jobs_closing
WHERE closing IS NOT NULL AND runs_active = 0 ORDER BY job_no;

-- name: jobs_to_publish
SELECT DISTINCT jobs.job_id FROM artifacts INDEXED BY artifacts_unpublished JOIN jobs ON jobs.job_no = artifacts.job_no
WHERE artifacts.published_at IS NULL AND artifacts.superseded = 0 ORDER BY artifacts.job_no;
