-- What may go, and how it goes (docs/retention.md).

-- Ended jobs in the order in which they came. A job stays while an open job depends on it, while a child of it is open, while
-- its parent is there, and while its idempotency key may still be asked for (R21).
-- name: prunable_jobs
SELECT job_no, job_id, tenant, workflow, state, created_at, finished_at FROM jobs INDEXED BY jobs_by_state
WHERE state = ? AND (created_at, job_no) > (?, ?) AND created_at <= ? AND finished_at <= ? AND closing IS NULL
  AND (idempotency_key IS NULL OR created_at <= ?)
  AND workflow GLOB ? AND tenant GLOB ?
  AND NOT EXISTS (SELECT 1 FROM dependencies JOIN jobs AS later ON later.job_no = dependencies.job_no
    WHERE dependencies.on_job_no = jobs.job_no AND later.state IN ('pending', 'queued', 'running'))
  AND NOT EXISTS (SELECT 1 FROM children JOIN jobs AS child ON child.job_no = children.job_no
    WHERE children.parent_no = jobs.job_no AND child.state IN ('pending', 'queued', 'running'))
  AND NOT EXISTS (SELECT 1 FROM children JOIN jobs AS parent ON parent.job_no = children.parent_no
    WHERE children.job_no = jobs.job_no)
  AND NOT EXISTS (SELECT 1 FROM object_uses WHERE object_uses.object = jobs.job_id AND object_uses.job_no <> jobs.job_no)
ORDER BY created_at, job_no LIMIT ?;

-- name: forget_job
DELETE FROM jobs WHERE job_no = ?;

-- name: forget_dependents
DELETE FROM dependencies WHERE on_job_no = ?;

-- name: forget_children
DELETE FROM children WHERE parent_no = ?;

-- name: latest_event_of_job
SELECT cursor FROM event_groups WHERE job_no = ? ORDER BY seq DESC LIMIT 1;

-- A graph that came inline goes with the last job that has it.
-- name: forget_definition
DELETE FROM definitions WHERE definition_id = ?1
  AND NOT EXISTS (SELECT 1 FROM definition_names WHERE name = ?2 AND definition_id = ?1)
  AND NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_by_workflow WHERE workflow = ?2 AND definition_id = ?1);

-- name: put_removal
INSERT INTO removals (kind, tenant, id, number, key) VALUES (?, ?, ?, ?, ?);

-- name: removals
SELECT removal_no, kind, tenant, id, number, key FROM removals WHERE kind = ? ORDER BY removal_no LIMIT ?;

-- name: removal_done
DELETE FROM removals WHERE removal_no = ?;

-- Runs of a pruned job whose files nothing else needs.
-- name: unneeded_runs
SELECT DISTINCT run_id FROM tasks WHERE job_no = ?1 AND run_id IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM known_result_objects WHERE object = tasks.run_id)
  AND NOT EXISTS (SELECT 1 FROM object_uses WHERE object = tasks.run_id AND job_no <> ?1)
  AND NOT EXISTS (SELECT 1 FROM schedules WHERE instr(spec, tasks.run_id) > 0);

-- name: forget_tasks
DELETE FROM tasks WHERE (job_no, node, "index", generation) IN
  (SELECT job_no, node, "index", generation FROM tasks WHERE job_no = ? LIMIT ?)
RETURNING queue, state, superseded;

-- name: unused_files
SELECT file_id, tenant, key FROM files WHERE file_id > ? AND created_at <= ?
  AND NOT EXISTS (SELECT 1 FROM object_uses WHERE object = file_id)
  AND NOT EXISTS (SELECT 1 FROM known_result_objects WHERE object = file_id)
  AND NOT EXISTS (SELECT 1 FROM schedules WHERE instr(spec, file_id) > 0)
ORDER BY file_id LIMIT ?;

-- name: forget_file
DELETE FROM files WHERE file_id = ?1
  AND NOT EXISTS (SELECT 1 FROM object_uses WHERE object = ?1)
  AND NOT EXISTS (SELECT 1 FROM known_result_objects WHERE object = ?1)
  AND NOT EXISTS (SELECT 1 FROM schedules WHERE instr(spec, ?1) > 0);

-- name: file_is_removed
SELECT 1 FROM removals WHERE kind = 'file' AND id = ?;

-- Something is known under this id: a run of a job that is there, a job, or what somebody keeps.
-- name: object_is_there
SELECT EXISTS (SELECT 1 FROM artifacts JOIN jobs ON jobs.job_no = artifacts.job_no WHERE artifacts.run_id = ?1)
  OR EXISTS (SELECT 1 FROM jobs WHERE job_id = ?1)
  OR EXISTS (SELECT 1 FROM object_uses WHERE object = ?1)
  OR EXISTS (SELECT 1 FROM known_result_objects WHERE object = ?1)
  OR EXISTS (SELECT 1 FROM schedules WHERE instr(spec, ?1) > 0);
