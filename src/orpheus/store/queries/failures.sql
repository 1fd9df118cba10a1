-- Jobs that are failed now, by what went wrong (docs/failures.md).

-- name: put_failure
INSERT INTO failures (job_no, tenant, failure, workflow, task, code, type, message, failed_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (job_no) DO UPDATE SET failure = excluded.failure, task = excluded.task, code = excluded.code, type = excluded.type,
  message = excluded.message, failed_at = excluded.failed_at;

-- name: forget_failure
DELETE FROM failures WHERE job_no = ?;

-- The newest are grouped, so that a million failed jobs cost no more than fifty thousand.
-- name: failure_groups
SELECT failure, workflow, task, code, type, message, count(*) AS jobs, min(failed_at), max(failed_at)
FROM (
  SELECT * FROM failures INDEXED BY failures_by_time
  WHERE failed_at >= ? AND failed_at < ? AND workflow GLOB ? AND tenant GLOB ? AND code GLOB ?
  ORDER BY failed_at DESC LIMIT ?
)
GROUP BY failure ORDER BY jobs DESC, failure LIMIT ?;

-- name: failure_samples
SELECT jobs.job_id FROM failures INDEXED BY failures_by_group JOIN jobs ON jobs.job_no = failures.job_no
WHERE failures.failure = ? AND failures.tenant GLOB ? ORDER BY failures.failed_at DESC LIMIT ?;
