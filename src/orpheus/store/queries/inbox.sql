-- What waits for a person's decision (inbox.py). `since` is when it was asked.

-- name: jobs_to_approve
SELECT created_at AS since, job_id, '' AS node, definition_id FROM jobs INDEXED BY jobs_to_approve
WHERE requires_approval = 1 AND approved_at IS NULL AND state = 'pending' AND closing IS NULL AND (?1 IS NULL OR tenant = ?1)
ORDER BY created_at LIMIT ?2;

-- Nodes that wait and that no worker runs: approvals, and the sleeps, signals and children that a look at the graph sorts out.
-- Every approval has a time-out (R22), so the index of what is due holds it; a walk of it is bounded.
-- name: nodes_that_wait
SELECT due.started_at AS since, jobs.job_id, due.node, jobs.definition_id
FROM (
  SELECT job_no, node, "index", state, handler, superseded, started_at FROM tasks INDEXED BY tasks_due
  WHERE wake_at IS NOT NULL LIMIT ?2
) AS due CROSS JOIN jobs ON jobs.job_no = due.job_no
WHERE due.state = 'waiting' AND due.handler = '' AND due."index" = -1 AND due.superseded = 0
  AND (?1 IS NULL OR jobs.tenant = ?1);
