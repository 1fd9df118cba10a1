-- The rows of tasks, one by one. Parameters are in the order of rows.py.
--
-- -1 and -1e300 stand for NULL in the parameters (rows.py, ABSENT and ABSENT_REAL): the sqlite3 module binds None fifteen
-- times slower than an int or a float, which was half the cost of a row.

-- name: insert_task
INSERT INTO tasks (
  job_no,
  node, "index", generation, state, tenant, queue, handler, priority, concurrency_key, unmet, attempt, run_id,
  worker, ready_seq, ready_at, first_ready_at, started_at, finished_at, wake_at, error, progress, stage, cached,
  heartbeat, items_total, items_released, items_settled, items_failed, items_skipped, stagger_until, superseded,
  extra,
  held, result)
VALUES (
  ?,
  ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, -1), ?, ?, nullif(?, -1), nullif(?, -1), nullif(?, -1),
  nullif(?, -1e300), nullif(?, -1e300), nullif(?, -1e300), nullif(?, -1e300), nullif(?, -1e300), nullif(?, -1),
  ?, nullif(?, -1), ?, nullif(?, -1), ?, ?, ?, ?, ?, nullif(?, -1e300), ?, nullif(?, -1),
  ?, nullif(?, -1));

-- `+state` keeps the planner from trying the partial indexes: with a bare `state = ?` each new value made SQLite prepare
-- the statement again, and an update cost 16 µs instead of 4.
-- name: update_task
UPDATE tasks SET
  state = ?, priority = ?, concurrency_key = nullif(?, -1), unmet = ?, attempt = ?,
  run_id = nullif(?, -1), worker = nullif(?, -1), ready_seq = nullif(?, -1),
  ready_at = nullif(?, -1e300), first_ready_at = nullif(?, -1e300), started_at = nullif(?, -1e300),
  finished_at = nullif(?, -1e300), wake_at = nullif(?, -1e300), error = nullif(?, -1), progress = ?,
  stage = nullif(?, -1), cached = ?, heartbeat = nullif(?, -1), items_total = ?, items_released = ?,
  items_settled = ?, items_failed = ?, items_skipped = ?, stagger_until = nullif(?, -1e300), superseded = ?,
  extra = nullif(?, -1),
  held = ?
WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ? AND +state = ? AND attempt = ?;

-- The same, with the result: beside the last change of a row.
-- name: update_task_result
UPDATE tasks SET
  state = ?, priority = ?, concurrency_key = nullif(?, -1), unmet = ?, attempt = ?,
  run_id = nullif(?, -1), worker = nullif(?, -1), ready_seq = nullif(?, -1),
  ready_at = nullif(?, -1e300), first_ready_at = nullif(?, -1e300), started_at = nullif(?, -1e300),
  finished_at = nullif(?, -1e300), wake_at = nullif(?, -1e300), error = nullif(?, -1), progress = ?,
  stage = nullif(?, -1), cached = ?, heartbeat = nullif(?, -1), items_total = ?, items_released = ?,
  items_settled = ?, items_failed = ?, items_skipped = ?, stagger_until = nullif(?, -1e300), superseded = ?,
  extra = nullif(?, -1),
  held = ?, result = ?
WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ? AND +state = ? AND attempt = ?;

-- The same two for what usual facts change (core/usual.py).
-- name: update_task_usual
UPDATE tasks SET
  state = ?, unmet = ?, attempt = ?, run_id = nullif(?, -1), worker = nullif(?, -1), ready_seq = nullif(?, -1),
  ready_at = nullif(?, -1e300), first_ready_at = nullif(?, -1e300), started_at = nullif(?, -1e300),
  finished_at = nullif(?, -1e300), wake_at = nullif(?, -1e300), error = nullif(?, -1), progress = ?,
  stage = nullif(?, -1), items_settled = ?,
  held = ?
WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ? AND +state = ? AND attempt = ?;

-- name: update_task_usual_result
UPDATE tasks SET
  state = ?, unmet = ?, attempt = ?, run_id = nullif(?, -1), worker = nullif(?, -1), ready_seq = nullif(?, -1),
  ready_at = nullif(?, -1e300), first_ready_at = nullif(?, -1e300), started_at = nullif(?, -1e300),
  finished_at = nullif(?, -1e300), wake_at = nullif(?, -1e300), error = nullif(?, -1), progress = ?,
  stage = nullif(?, -1), items_settled = ?,
  held = ?, result = ?
WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ? AND +state = ? AND attempt = ?;

-- The lean ones of store/usual_rows.py: a row that is not yet begun, one that may be claimed, one that is, one that completes.
-- name: insert_new_task
INSERT INTO tasks (
  job_no, node, "index", generation, state, tenant, queue, handler, priority, unmet, ready_seq, ready_at, first_ready_at,
  attempt, progress, cached, items_total, items_released, items_settled, items_failed, items_skipped, superseded, held)
VALUES (
  ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, -1), nullif(?, -1e300), nullif(?, -1e300),
  0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0);

-- name: open_task
UPDATE tasks SET
  state = 'ready', unmet = ?, ready_seq = ?, ready_at = ?, first_ready_at = ?, wake_at = nullif(?, -1e300), held = 0
WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ? AND +state = 'blocked' AND attempt = ?;

-- name: begin_task
UPDATE tasks SET
  state = 'running', attempt = ?, run_id = ?, worker = ?, started_at = ?, wake_at = NULL, stage = NULL, held = 0
WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ? AND +state = 'ready' AND attempt = ?;

-- name: complete_task
UPDATE tasks SET
  state = 'completed', finished_at = ?, wake_at = NULL, error = NULL, progress = ?, held = 0, result = ?
WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ? AND +state = 'running' AND attempt = ?;

-- name: current_task
SELECT job_no,
  node, "index", generation, state, tenant, queue, handler, priority, concurrency_key, unmet, attempt, run_id,
  worker, ready_seq, ready_at, first_ready_at, started_at, finished_at, wake_at, error, progress, stage, cached,
  heartbeat, items_total, items_released, items_settled, items_failed, items_skipped, stagger_until, superseded,
  extra
FROM tasks WHERE job_no = ? AND node = ? AND "index" = ? AND superseded = 0;

-- name: task_by_key
SELECT job_no,
  node, "index", generation, state, tenant, queue, handler, priority, concurrency_key, unmet, attempt, run_id,
  worker, ready_seq, ready_at, first_ready_at, started_at, finished_at, wake_at, error, progress, stage, cached,
  heartbeat, items_total, items_released, items_settled, items_failed, items_skipped, stagger_until, superseded,
  extra
FROM tasks WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ?;

-- name: current_tasks
SELECT job_no,
  node, "index", generation, state, tenant, queue, handler, priority, concurrency_key, unmet, attempt, run_id,
  worker, ready_seq, ready_at, first_ready_at, started_at, finished_at, wake_at, error, progress, stage, cached,
  heartbeat, items_total, items_released, items_settled, items_failed, items_skipped, stagger_until, superseded,
  extra
FROM tasks WHERE job_no = ? AND superseded = 0;

-- name: current_tasks_of_node
SELECT job_no,
  node, "index", generation, state, tenant, queue, handler, priority, concurrency_key, unmet, attempt, run_id,
  worker, ready_seq, ready_at, first_ready_at, started_at, finished_at, wake_at, error, progress, stage, cached,
  heartbeat, items_total, items_released, items_settled, items_failed, items_skipped, stagger_until, superseded,
  extra
FROM tasks WHERE job_no = ? AND node = ? AND superseded = 0;

-- name: task_result
SELECT result FROM tasks WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ?;

-- name: item_outcomes
SELECT state, result, error FROM tasks
WHERE job_no = ? AND node = ? AND "index" >= 0 AND superseded = 0 ORDER BY "index";

-- name: insert_item
INSERT INTO task_items (job_no, node, "index", generation, item) VALUES (?, ?, ?, ?, ?);

-- name: item_value
SELECT item FROM task_items WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ?;

-- name: insert_attempt
INSERT INTO attempts (job_no, node, "index", generation, attempt, run_id, worker, started_at, finished_at, outcome, error)
VALUES (?, ?, ?, ?, ?, ?, nullif(?, -1), nullif(?, -1e300), ?, ?, nullif(?, -1));

-- name: move_task_count
INSERT INTO task_counts (queue, state, count) VALUES (?, ?, ?)
ON CONFLICT (queue, state) DO UPDATE SET count = count + excluded.count;
