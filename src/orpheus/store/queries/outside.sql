-- What came from outside for a job: signals and callbacks (R22).

-- name: insert_signal
INSERT INTO signals (job_no, number, name, signal_id, payload, received_at) VALUES (?, ?, ?, ?, ?, ?);

-- name: next_signal
SELECT number, signal_id, payload FROM signals INDEXED BY signals_untaken
WHERE job_no = ? AND name = ? AND taken_at IS NULL AND number > ? ORDER BY number LIMIT 1;

-- name: signal_by_id
SELECT number FROM signals INDEXED BY signals_by_id WHERE job_no = ? AND name = ? AND signal_id = ?;

-- name: take_signal
UPDATE signals SET taken_at = ? WHERE job_no = ? AND number = ? AND taken_at IS NULL;

-- name: insert_callback
INSERT INTO callbacks (run_id, job_no, node, "index", received_at, result, error) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: callback_of_run
SELECT result, error FROM callbacks WHERE run_id = ?;

-- name: callback_by_run
SELECT jobs.job_id, callbacks.node, callbacks."index", callbacks.received_at
FROM callbacks JOIN jobs ON jobs.job_no = callbacks.job_no WHERE callbacks.run_id = ?;
