-- What the API shows, beside the writer. Lists of jobs are put together in listing.py.

-- name: states_of_jobs
SELECT job_id, state FROM jobs WHERE job_id IN (SELECT value FROM json_each(?)) AND tenant = coalesce(?, tenant);

-- name: job_payload
SELECT job_params.params, jobs.result FROM jobs LEFT JOIN job_params ON job_params.job_no = jobs.job_no
WHERE jobs.job_id = ?;

-- name: job_no
SELECT job_no, definition_id FROM jobs WHERE job_id = ?;

-- name: attempts_of_task
SELECT attempt, run_id, worker, started_at, finished_at, outcome, error FROM attempts
WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ? ORDER BY attempt, finished_at, run_id;

-- `log_reads.py` puts filters in behind `log_no > ?`.
-- name: logs_of_job
SELECT log_no, at, node, "index", attempt, run_id, level, stream, message, fields FROM logs INDEXED BY logs_of_job
WHERE job_no = ? AND log_no > ? ORDER BY log_no LIMIT ?;

-- name: unsettled_dependencies
SELECT jobs.job_id, dependencies."on", jobs.state
FROM dependencies INDEXED BY dependencies_of_job JOIN jobs ON jobs.job_no = dependencies.on_job_no
WHERE dependencies.job_no = ? AND jobs.state IN ('pending', 'queued', 'running') ORDER BY jobs.job_no;

-- name: job_counts
SELECT state, sum(count) FROM job_counts GROUP BY state;

-- name: job_counts_of_tenant
SELECT state, sum(count) FROM job_counts WHERE tenant = ? GROUP BY state;

-- name: task_counts
SELECT queue, state, count FROM task_counts ORDER BY queue, state;

-- name: count_of_tenant
SELECT coalesce(sum(count), 0) FROM job_counts WHERE tenant = ?;

-- name: count_of_workflow
SELECT coalesce(sum(count), 0) FROM job_counts WHERE workflow = ?;

-- name: count_of_state
SELECT coalesce(sum(count), 0) FROM job_counts WHERE state = ?;

-- name: needed_runs
WITH asked (run_id) AS MATERIALIZED (SELECT value FROM json_each(?))
SELECT run_id FROM tasks WHERE state IN ('running', 'waiting', 'completed') AND run_id IN (SELECT run_id FROM asked)
UNION SELECT object FROM known_result_objects WHERE object IN (SELECT run_id FROM asked)
UNION SELECT object FROM object_uses WHERE object IN (SELECT run_id FROM asked)
UNION SELECT run_id FROM asked WHERE EXISTS (SELECT 1 FROM schedules WHERE instr(spec, run_id) > 0);
