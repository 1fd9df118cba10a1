-- The events of a decision stand in one row: a one-task job has seven events and writes three rows of them (ADR 0027).

CREATE TABLE event_groups (
  cursor INTEGER PRIMARY KEY,         -- of its last event; those before it count down without a gap
  job_no INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  seq    INTEGER NOT NULL,            -- of its last event
  events TEXT NOT NULL                -- JSON list of [seq, type, at, actor, task, index, run_id, data]
) STRICT;

-- 17 digits, as json_array alone would round the instants.
INSERT INTO event_groups (cursor, job_no, seq, events)
SELECT cursor, job_no, seq,
  json_array(json_array(seq, type, json(printf('%!.17g', at)), actor, task, "index", run_id, json(coalesce(data, '{}'))))
FROM events ORDER BY cursor;

DROP TABLE events;
CREATE UNIQUE INDEX events_of_job ON event_groups (job_no, seq);
