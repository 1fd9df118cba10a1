-- Who is told of events, and the outbox of what still has to be told (R28).

-- name: all_webhooks
SELECT webhook_id, tenant, url, events, workflow, labels, description, secrets, enabled, disabled_reason, created_at, updated_at
FROM webhooks ORDER BY webhook_id;

-- name: put_webhook
INSERT INTO webhooks (
  webhook_id, tenant, url, events, workflow, labels, description, secrets, enabled, disabled_reason, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (webhook_id) DO UPDATE SET url = excluded.url, events = excluded.events, workflow = excluded.workflow,
  labels = excluded.labels, description = excluded.description, secrets = excluded.secrets, enabled = excluded.enabled,
  disabled_reason = excluded.disabled_reason, updated_at = excluded.updated_at;

-- name: delete_webhook
DELETE FROM webhooks WHERE webhook_id = ?;

-- name: insert_delivery
INSERT INTO deliveries (
  delivery_id, destination, webhook_id, url, tenant, job_id, seq, type, at, about, state, attempts, tries, next_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, 0, ?);

-- One destination's deliveries whose time has come. What is being sent is left out by the caller.
-- name: due_deliveries
SELECT delivery_no, delivery_id, destination, webhook_id, url, tenant, job_id, seq, type, at, about, state, attempts, tries,
  next_at, last_at, last_status, last_error
FROM deliveries WHERE state = 'pending' AND destination = ? AND next_at <= ? ORDER BY next_at LIMIT ?;

-- name: next_delivery
SELECT min(next_at) FROM deliveries WHERE state = 'pending' AND destination = ?;

-- At the start: whom there is something to tell, how much, and when.
-- name: pending_destinations
SELECT destination, count(*), min(next_at) FROM deliveries WHERE state = 'pending' GROUP BY destination;

-- name: delivery
SELECT delivery_no, delivery_id, destination, webhook_id, url, tenant, job_id, seq, type, at, about, state, attempts, tries,
  next_at, last_at, last_status, last_error
FROM deliveries WHERE delivery_id = ?;

-- Guarded by `tries`, so that a delivery queued anew meanwhile is not settled by a call from before.
-- name: settle_delivery
UPDATE deliveries SET state = ?, attempts = attempts + 1, tries = tries + 1, next_at = ?, last_at = ?, last_status = ?,
  last_error = ?
WHERE delivery_no = ? AND state = 'pending' AND tries = ?;

-- name: redeliver
UPDATE deliveries SET state = 'pending', tries = 0, next_at = ? WHERE delivery_no = ?;

-- name: drop_deliveries
UPDATE deliveries SET state = 'dead', next_at = NULL, last_at = ?, last_error = ?
WHERE state = 'pending' AND destination = ?;

-- name: forget_deliveries
DELETE FROM deliveries WHERE delivery_no IN (
  SELECT delivery_no FROM deliveries WHERE state <> 'pending' AND last_at < ? ORDER BY last_at LIMIT ?);
