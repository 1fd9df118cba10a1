-- The audit trail (R1, R2), by groups: what a decision says stands in one row (migrations/0004_event_groups.sql).

-- name: insert_events
INSERT INTO event_groups (cursor, job_no, seq, events) VALUES (?, ?, ?, ?);

-- Events one by one, for questions about what stands in them: `WITH events AS (…)`. A stretch of cursors is found by naming
-- `group_cursor` too, which is at most 63 above an event's own (rows.py, EVENTS_PER_ROW).
-- name: single_events
SELECT
  event_groups.cursor - event_groups.seq + json_extract(one.value, '$[0]') AS cursor,
  event_groups.job_no              AS job_no,
  json_extract(one.value, '$[0]')  AS seq,
  json_extract(one.value, '$[1]')  AS type,
  json_extract(one.value, '$[2]')  AS at,
  json_extract(one.value, '$[3]')  AS actor,
  json_extract(one.value, '$[4]')  AS task,
  json_extract(one.value, '$[5]')  AS "index",
  json_extract(one.value, '$[6]')  AS run_id,
  nullif(json_extract(one.value, '$[7]'), '{}') AS data,
  event_groups.cursor              AS group_cursor
FROM event_groups, json_each(event_groups.events) AS one;

-- name: last_cursor
SELECT coalesce(max(cursor), 0) FROM event_groups;

-- Both answer with groups of which the first may begin before the place asked for, and the last may go beyond the limit.
-- name: events_of_job
SELECT events FROM event_groups
WHERE job_no = (SELECT job_no FROM jobs WHERE job_id = ?) AND seq > ? ORDER BY seq LIMIT ?;

-- name: events_after
SELECT event_groups.cursor, jobs.job_id, jobs.tenant, jobs.correlation_id, event_groups.events
FROM event_groups JOIN jobs ON jobs.job_no = event_groups.job_no
WHERE event_groups.cursor > ? ORDER BY event_groups.cursor LIMIT ?;
