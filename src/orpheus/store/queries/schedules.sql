-- Schedules and what became of their slots (R27). Columns are in the order of store/schedules.py.

-- name: insert_schedule
INSERT INTO schedules (schedule_id, tenant, name, spec, paused, seen_until, next_run_at, created_at, created_by, updated_at, updated_by)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: update_schedule
UPDATE schedules SET spec = ?, paused = ?, seen_until = ?, next_run_at = ?, updated_at = ?, updated_by = ? WHERE schedule_id = ?;

-- name: move_schedule
UPDATE schedules SET seen_until = ?, next_run_at = ? WHERE schedule_id = ?;

-- name: delete_firings
DELETE FROM firings WHERE schedule_no = (SELECT schedule_no FROM schedules WHERE tenant = ? AND name = ?);

-- name: delete_schedule
DELETE FROM schedules WHERE tenant = ? AND name = ?;

-- name: schedule
SELECT schedule_id, tenant, name, spec, paused, seen_until, next_run_at, created_at, created_by, updated_at, updated_by
FROM schedules WHERE tenant = ? AND name = ?;

-- name: schedule_by_id
SELECT schedule_id, tenant, name, spec, paused, seen_until, next_run_at, created_at, created_by, updated_at, updated_by
FROM schedules WHERE schedule_id = ?;

-- A page of all tenants' schedules, and of one's.
-- name: schedules
SELECT schedule_id, tenant, name, spec, paused, seen_until, next_run_at, created_at, created_by, updated_at, updated_by
FROM schedules WHERE (tenant, name) > (?, ?) ORDER BY tenant, name LIMIT ?;

-- name: schedules_of_tenant
SELECT schedule_id, tenant, name, spec, paused, seen_until, next_run_at, created_at, created_by, updated_at, updated_by
FROM schedules WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?;

-- name: due_schedules
SELECT schedule_id FROM schedules INDEXED BY schedules_due
WHERE next_run_at IS NOT NULL AND next_run_at <= ? ORDER BY next_run_at, schedule_no LIMIT ?;

-- name: next_schedule
SELECT min(next_run_at) FROM schedules INDEXED BY schedules_due WHERE next_run_at IS NOT NULL;

-- name: insert_firing
INSERT INTO firings (schedule_no, scheduled_for, at, "trigger", outcome, job_id, reason, actor)
SELECT schedule_no, ?, ?, ?, ?, ?, ?, ? FROM schedules WHERE schedule_id = ?;

-- name: fired_already
SELECT 1 FROM firings JOIN schedules USING (schedule_no)
WHERE schedule_id = ? AND scheduled_for = ? AND "trigger" = 'time';

-- name: firings
SELECT firing_no, scheduled_for, at, "trigger", outcome, job_id, reason, firings.actor
FROM schedules JOIN firings USING (schedule_no)
WHERE schedule_id = ? AND firing_no < ? ORDER BY firing_no DESC LIMIT ?;

-- name: open_jobs_of_schedule
SELECT jobs.job_id FROM schedules JOIN firings USING (schedule_no) JOIN jobs ON jobs.job_id = firings.job_id
WHERE schedules.schedule_id = ? AND jobs.state IN ('pending', 'queued', 'running') ORDER BY firing_no;

-- What is older than the newest so many goes, unless its job is open: the overlap rule asks for it.
-- name: forget_firings
DELETE FROM firings WHERE schedule_no = (SELECT schedule_no FROM schedules WHERE schedule_id = ?)
  AND firing_no <= (SELECT firing_no FROM firings JOIN schedules USING (schedule_no) WHERE schedule_id = ?
                    ORDER BY firing_no DESC LIMIT 1 OFFSET ?)
  AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.job_id = firings.job_id AND jobs.state IN ('pending', 'queued', 'running'));
