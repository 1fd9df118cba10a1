-- The rows of jobs, one by one. Parameters are in the order of rows.py.
--
-- -1 and -1e300 stand for NULL in the parameters (rows.py, ABSENT and ABSENT_REAL): the sqlite3 module binds None fifteen
-- times slower than an int or a float, which was half the cost of a row.

-- name: insert_job
INSERT INTO jobs (
  job_no,
  job_id, tenant, workflow, workflow_version, definition_id, state, created_at, correlation_id, priority, paused,
  generation, labels, error, last_seq, traceparent, idempotency_key, fingerprint, webhook_url, has_files,
  requires_approval, approved_at, unmet_jobs, run_at, timeout_s, deadline_at, wake_at, cancel_requested_at,
  cancel_reason, closing, nodes_open, runs_active, counts, weight_total, weight_done, progress_percentage,
  current_stage, started_at, finished_at, updated_at, decider_version, extra,
  result)
VALUES (
  ?,
  ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, -1), nullif(?, -1), ?, nullif(?, -1),
  nullif(?, -1), nullif(?, -1), nullif(?, -1), ?, ?, nullif(?, -1e300), ?, nullif(?, -1e300),
  nullif(?, -1e300), nullif(?, -1e300), nullif(?, -1e300), nullif(?, -1e300), nullif(?, -1),
  nullif(?, -1), ?, ?, nullif(?, -1), ?, ?, ?, nullif(?, -1), nullif(?, -1e300), nullif(?, -1e300),
  ?, ?, nullif(?, -1),
  nullif(?, -1));

-- The guard names what the decision was made on; the caller counts the rows.
-- name: update_job
UPDATE jobs SET
  priority = ?, paused = ?, generation = ?, labels = nullif(?, -1), error = nullif(?, -1), last_seq = ?,
  has_files = ?, approved_at = nullif(?, -1e300), unmet_jobs = ?, run_at = nullif(?, -1e300),
  deadline_at = nullif(?, -1e300), wake_at = nullif(?, -1e300), cancel_requested_at = nullif(?, -1e300),
  cancel_reason = nullif(?, -1), closing = nullif(?, -1), nodes_open = ?, runs_active = ?,
  counts = nullif(?, -1), weight_total = ?, weight_done = ?, progress_percentage = ?,
  current_stage = nullif(?, -1), started_at = nullif(?, -1e300), finished_at = nullif(?, -1e300),
  updated_at = ?, extra = nullif(?, -1)
WHERE job_no = ? AND last_seq = ?;

-- Apart from `update_job`, because naming `state` rewrites its index entry even when it stays the same.
-- name: update_job_state
UPDATE jobs SET
  state = ?,
  priority = ?, paused = ?, generation = ?, labels = nullif(?, -1), error = nullif(?, -1), last_seq = ?,
  has_files = ?, approved_at = nullif(?, -1e300), unmet_jobs = ?, run_at = nullif(?, -1e300),
  deadline_at = nullif(?, -1e300), wake_at = nullif(?, -1e300), cancel_requested_at = nullif(?, -1e300),
  cancel_reason = nullif(?, -1), closing = nullif(?, -1), nodes_open = ?, runs_active = ?,
  counts = nullif(?, -1), weight_total = ?, weight_done = ?, progress_percentage = ?,
  current_stage = nullif(?, -1), started_at = nullif(?, -1e300), finished_at = nullif(?, -1e300),
  updated_at = ?, extra = nullif(?, -1)
WHERE job_no = ? AND last_seq = ?;

-- The same with the result, NULL taking it away: an end, or a new generation.
-- name: update_job_result
UPDATE jobs SET
  state = ?,
  priority = ?, paused = ?, generation = ?, labels = nullif(?, -1), error = nullif(?, -1), last_seq = ?,
  has_files = ?, approved_at = nullif(?, -1e300), unmet_jobs = ?, run_at = nullif(?, -1e300),
  deadline_at = nullif(?, -1e300), wake_at = nullif(?, -1e300), cancel_requested_at = nullif(?, -1e300),
  cancel_reason = nullif(?, -1), closing = nullif(?, -1), nodes_open = ?, runs_active = ?,
  counts = nullif(?, -1), weight_total = ?, weight_done = ?, progress_percentage = ?,
  current_stage = nullif(?, -1), started_at = nullif(?, -1e300), finished_at = nullif(?, -1e300),
  updated_at = ?, extra = nullif(?, -1),
  result = nullif(?, -1)
WHERE job_no = ? AND last_seq = ?;

-- The same three for what usual facts change (core/usual.py).
-- name: update_job_usual
UPDATE jobs SET
  last_seq = ?, paused = ?, wake_at = nullif(?, -1e300), nodes_open = ?, runs_active = ?,
  counts = nullif(?, -1), weight_done = ?, progress_percentage = ?, current_stage = nullif(?, -1),
  started_at = nullif(?, -1e300), finished_at = nullif(?, -1e300), updated_at = ?
WHERE job_no = ? AND last_seq = ?;

-- name: update_job_usual_state
UPDATE jobs SET
  state = ?,
  last_seq = ?, paused = ?, wake_at = nullif(?, -1e300), nodes_open = ?, runs_active = ?,
  counts = nullif(?, -1), weight_done = ?, progress_percentage = ?, current_stage = nullif(?, -1),
  started_at = nullif(?, -1e300), finished_at = nullif(?, -1e300), updated_at = ?
WHERE job_no = ? AND last_seq = ?;

-- name: update_job_usual_result
UPDATE jobs SET
  state = ?,
  last_seq = ?, paused = ?, wake_at = nullif(?, -1e300), nodes_open = ?, runs_active = ?,
  counts = nullif(?, -1), weight_done = ?, progress_percentage = ?, current_stage = nullif(?, -1),
  started_at = nullif(?, -1e300), finished_at = nullif(?, -1e300), updated_at = ?,
  result = nullif(?, -1)
WHERE job_no = ? AND last_seq = ?;

-- The lean ones of store/usual_rows.py: a job that nothing holds back, one that begins, goes on, completes.
-- name: insert_new_job
INSERT INTO jobs (
  job_no, job_id, tenant, workflow, workflow_version, definition_id, created_at, correlation_id, priority, last_seq,
  traceparent, idempotency_key, fingerprint, nodes_open, counts, weight_total, updated_at, decider_version,
  state, paused, generation, has_files, requires_approval, unmet_jobs, runs_active, weight_done, progress_percentage)
VALUES (
  ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, -1), nullif(?, -1), nullif(?, -1), ?, nullif(?, '{}'), ?, ?, ?,
  'queued', 0, 1, 0, 0, 0, 0, 0.0, 0.0);

-- name: begin_job
UPDATE jobs SET
  state = 'running', started_at = ?,
  last_seq = ?, nodes_open = ?, runs_active = ?, counts = ?, weight_done = ?, progress_percentage = ?,
  current_stage = ?, updated_at = ?
WHERE job_no = ? AND last_seq = ?;

-- name: move_job_on
UPDATE jobs SET
  last_seq = ?, nodes_open = ?, runs_active = ?, counts = ?, weight_done = ?, progress_percentage = ?,
  current_stage = ?, updated_at = ?
WHERE job_no = ? AND last_seq = ?;

-- name: complete_job
UPDATE jobs SET
  state = 'completed', paused = 0, wake_at = NULL,
  last_seq = ?, nodes_open = ?, runs_active = ?, counts = ?, weight_done = ?, progress_percentage = ?,
  current_stage = ?, finished_at = ?, updated_at = ?, result = nullif(?, -1)
WHERE job_no = ? AND last_seq = ?;

-- name: job_by_id
SELECT job_no,
  job_id, tenant, workflow, workflow_version, definition_id, state, created_at, correlation_id, priority, paused,
  generation, labels, error, last_seq, traceparent, idempotency_key, fingerprint, webhook_url, has_files,
  requires_approval, approved_at, unmet_jobs, run_at, timeout_s, deadline_at, wake_at, cancel_requested_at,
  cancel_reason, closing, nodes_open, runs_active, counts, weight_total, weight_done, progress_percentage,
  current_stage, started_at, finished_at, updated_at, decider_version, extra
FROM jobs WHERE job_id = ?;

-- Those of them that hold nothing but what a job has that nothing held back and nothing of which has begun (rows.py: plain_job);
-- `+state` keeps the planner from all queued jobs.
-- name: plain_jobs_by_no
SELECT job_no, job_id, tenant, workflow, workflow_version, definition_id, created_at, correlation_id, priority, last_seq,
  traceparent, idempotency_key, fingerprint, nodes_open, counts, weight_total, updated_at, decider_version
FROM jobs WHERE job_no IN (SELECT value FROM json_each(?))
  AND +state = 'queued' AND paused = 0 AND generation = 1 AND labels IS NULL AND error IS NULL AND webhook_url IS NULL
  AND has_files = 0 AND +requires_approval = 0 AND +approved_at IS NULL AND unmet_jobs = 0 AND run_at IS NULL
  AND timeout_s IS NULL AND deadline_at IS NULL AND wake_at IS NULL AND cancel_requested_at IS NULL
  AND cancel_reason IS NULL AND closing IS NULL AND runs_active = 0 AND weight_done = 0.0 AND progress_percentage = 0.0
  AND current_stage IS NULL AND started_at IS NULL AND finished_at IS NULL AND extra IS NULL;

-- name: jobs_by_no
SELECT job_no,
  job_id, tenant, workflow, workflow_version, definition_id, state, created_at, correlation_id, priority, paused,
  generation, labels, error, last_seq, traceparent, idempotency_key, fingerprint, webhook_url, has_files,
  requires_approval, approved_at, unmet_jobs, run_at, timeout_s, deadline_at, wake_at, cancel_requested_at,
  cancel_reason, closing, nodes_open, runs_active, counts, weight_total, weight_done, progress_percentage,
  current_stage, started_at, finished_at, updated_at, decider_version, extra
FROM jobs WHERE job_no IN (SELECT value FROM json_each(?));

-- name: job_result
SELECT result FROM jobs WHERE job_no = ?;

-- name: insert_params
INSERT INTO job_params (job_no, params) VALUES (?, ?);

-- name: update_params
UPDATE job_params SET params = ? WHERE job_no = ?;

-- name: job_params
SELECT params FROM job_params WHERE job_no = ?;

-- name: params_of_jobs
SELECT job_no, params FROM job_params WHERE job_no IN (SELECT value FROM json_each(?));

-- name: insert_label
INSERT INTO labels (key, value, created_at, job_no) VALUES (?, ?, ?, ?);

-- name: delete_labels
DELETE FROM labels WHERE key = ? AND value = ? AND created_at = ? AND job_no = ?;

-- name: idempotent_job
SELECT job_id, fingerprint FROM jobs WHERE tenant = ? AND idempotency_key = ?;

-- name: any_idempotent_job_between
SELECT 1 FROM jobs WHERE tenant = ? AND idempotency_key BETWEEN ? AND ? LIMIT 1;

-- name: any_idempotent_job
SELECT 1 FROM jobs WHERE tenant = ?1 AND idempotency_key IN (SELECT one.value FROM json_each(?2) AS one) LIMIT 1;

-- name: insert_dependency
INSERT INTO dependencies (on_job_no, job_no, "on") VALUES (?, ?, ?);

-- name: any_dependency
SELECT 1 FROM dependencies LIMIT 1;

-- name: dependents_of_job
SELECT jobs.job_id, dependencies."on"
FROM dependencies JOIN jobs ON jobs.job_no = dependencies.job_no
WHERE dependencies.on_job_no = ? ORDER BY dependencies.job_no;

-- name: move_job_count
INSERT INTO job_counts (tenant, workflow, state, count) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, workflow, state) DO UPDATE SET count = count + excluded.count;

-- name: last_job_no
SELECT coalesce(max(job_no), 0) FROM jobs;
