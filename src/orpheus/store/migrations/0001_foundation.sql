-- The whole schema of issue 2: jobs, their tasks, what they made, and the audit trail.
--
-- Words are those of design.md section 1. Instants are REAL seconds since the epoch (UTC), JSON is TEXT.
-- Rows of one job in other tables name it by `job_no`, a small integer: with the 36 characters of `job_id` in every key
-- the write-ahead log grew by a third and a one-task job cost a fifth more (benchmarks/store_write.py).
-- There are few indexes on purpose: each one is paid for at every transition. Most are partial, so that they hold only
-- what still moves and stay small however long the history is.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE definitions (
  definition_id TEXT PRIMARY KEY,
  name          TEXT NOT NULL,
  version       INTEGER NOT NULL,
  graph         TEXT NOT NULL,
  created_at    REAL NOT NULL
) STRICT;

-- What `name@version` means. Graphs sent inline with a job stand in `definitions` only.
CREATE TABLE definition_names (
  name          TEXT NOT NULL,
  version       INTEGER NOT NULL,
  definition_id TEXT NOT NULL REFERENCES definitions (definition_id),
  published_at  REAL NOT NULL,
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- Tasks that workers offer, by the content they were published with (R24).
CREATE TABLE task_specs (
  name         TEXT NOT NULL,
  version      INTEGER NOT NULL,
  content      TEXT NOT NULL,
  spec         TEXT NOT NULL,
  published_at REAL NOT NULL,
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
  job_no              INTEGER PRIMARY KEY,
  job_id              TEXT NOT NULL UNIQUE,
  tenant              TEXT NOT NULL,
  workflow            TEXT NOT NULL,
  workflow_version    INTEGER NOT NULL,
  definition_id       TEXT NOT NULL,
  state               TEXT NOT NULL CHECK (state IN ('pending', 'queued', 'running', 'completed', 'failed', 'cancelled')),
  created_at          REAL NOT NULL,
  correlation_id      TEXT NOT NULL,
  priority            INTEGER NOT NULL,
  paused              INTEGER NOT NULL CHECK (paused IN (0, 1)),
  generation          INTEGER NOT NULL,
  labels              TEXT,
  error               TEXT,
  last_seq            INTEGER NOT NULL,
  traceparent         TEXT,
  idempotency_key     TEXT,
  fingerprint         TEXT,
  webhook_url         TEXT,
  has_files           INTEGER NOT NULL,
  requires_approval   INTEGER NOT NULL,
  approved_at         REAL,
  unmet_jobs          INTEGER NOT NULL,
  run_at              REAL,
  timeout_s           REAL,
  deadline_at         REAL,
  wake_at             REAL,
  cancel_requested_at REAL,
  cancel_reason       TEXT,
  closing             TEXT,
  nodes_open          INTEGER NOT NULL,
  runs_active         INTEGER NOT NULL,
  counts              TEXT,
  weight_total        REAL NOT NULL,
  weight_done         REAL NOT NULL,
  progress_percentage REAL NOT NULL,
  current_stage       TEXT,
  started_at          REAL,
  finished_at         REAL,
  updated_at          REAL NOT NULL,
  decider_version     INTEGER NOT NULL,
  extra               TEXT,
  result              TEXT     -- last, because it is written once and can be large; NULL is none
) STRICT;

-- Lists run newest first by (created_at, job_no) under one of these.
CREATE INDEX jobs_by_time     ON jobs (created_at);
CREATE INDEX jobs_by_state    ON jobs (state, created_at);
CREATE INDEX jobs_by_workflow ON jobs (workflow, created_at);
CREATE INDEX jobs_by_tenant   ON jobs (tenant, created_at);
CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_due         ON jobs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX jobs_closing     ON jobs (closing) WHERE closing IS NOT NULL;

-- Written once at submission (and when an approval edits them), so the hot row stays small.
CREATE TABLE job_params (
  job_no INTEGER PRIMARY KEY REFERENCES jobs (job_no) ON DELETE CASCADE,
  params TEXT NOT NULL
) STRICT;

CREATE TABLE labels (
  key        TEXT NOT NULL,
  value      TEXT NOT NULL,
  created_at REAL NOT NULL,
  job_no     INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  PRIMARY KEY (key, value, created_at, job_no)
) STRICT, WITHOUT ROWID;

-- `job_no` waits for `on_job_no` to end (`end`), or to end well (`success`) (R16).
CREATE TABLE dependencies (
  on_job_no INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  job_no    INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  "on"      TEXT NOT NULL CHECK ("on" IN ('success', 'end')),
  PRIMARY KEY (on_job_no, job_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependencies_of_job ON dependencies (job_no);

CREATE TABLE tasks (
  job_no          INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  node            TEXT NOT NULL,
  "index"         INTEGER NOT NULL,   -- -1 is the node itself
  generation      INTEGER NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('blocked', 'ready', 'running', 'retrying', 'waiting', 'completed', 'failed',
                                                 'cancelled', 'skipped')),
  tenant          TEXT NOT NULL,
  queue           TEXT NOT NULL,
  handler         TEXT NOT NULL,
  priority        INTEGER NOT NULL,
  concurrency_key TEXT,
  unmet           INTEGER NOT NULL,
  attempt         INTEGER NOT NULL,
  run_id          TEXT,
  worker          TEXT,
  ready_seq       INTEGER,
  ready_at        REAL,
  first_ready_at  REAL,
  started_at      REAL,
  finished_at     REAL,
  wake_at         REAL,
  error           TEXT,
  progress        REAL NOT NULL,
  stage           TEXT,
  cached          INTEGER NOT NULL,
  heartbeat       TEXT,
  items_total     INTEGER NOT NULL,
  items_released  INTEGER NOT NULL,
  items_settled   INTEGER NOT NULL,
  items_failed    INTEGER NOT NULL,
  items_skipped   INTEGER NOT NULL,
  stagger_until   REAL,               -- NEVER (core/task.py) while a released item has not started
  superseded      INTEGER NOT NULL CHECK (superseded IN (0, 1)),
  extra           TEXT,
  held            INTEGER NOT NULL CHECK (held IN (0, 1)),   -- its job is paused: not claimable (R26)
  result          TEXT,               -- last: written with the row's last change, so it never rides along in hot updates
  PRIMARY KEY (job_no, node, "index", generation)
) STRICT, WITHOUT ROWID;

-- One lane of claimable tasks after the other, first in first out inside each (R25).
CREATE INDEX tasks_ready ON tasks (queue, priority, tenant, handler, concurrency_key, ready_seq)
  WHERE state = 'ready' AND held = 0;
CREATE INDEX tasks_due   ON tasks (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX tasks_of_run ON tasks (run_id) WHERE run_id IS NOT NULL AND state IN ('running', 'waiting');

-- What a map's items were given; apart from `tasks` because an item's row changes several times after it.
CREATE TABLE task_items (
  job_no     INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  node       TEXT NOT NULL,
  "index"    INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  item       TEXT NOT NULL,
  PRIMARY KEY (job_no, node, "index", generation)
) STRICT, WITHOUT ROWID;

-- Attempts that ended other than completed; the current or last one stands in the task's own row.
CREATE TABLE attempts (
  job_no      INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  node        TEXT NOT NULL,
  "index"     INTEGER NOT NULL,
  generation  INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  run_id      TEXT NOT NULL,
  worker      TEXT,
  started_at  REAL,
  finished_at REAL NOT NULL,
  outcome     TEXT NOT NULL CHECK (outcome IN ('failed', 'lost', 'timed_out', 'cancelled', 'returned')),
  error       TEXT,
  PRIMARY KEY (job_no, node, "index", generation, attempt, run_id)
) STRICT, WITHOUT ROWID;

-- The audit trail (R1). `cursor` is the place in the stream of all jobs, in commit order; `seq` is gapless per job (R2).
CREATE TABLE events (
  cursor  INTEGER PRIMARY KEY,
  job_no  INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  seq     INTEGER NOT NULL,
  type    TEXT NOT NULL,
  at      REAL NOT NULL,
  actor   TEXT NOT NULL,
  task    TEXT,
  "index" INTEGER,
  run_id  TEXT,
  data    TEXT
) STRICT;
CREATE UNIQUE INDEX events_of_job ON events (job_no, seq);

CREATE TABLE artifacts (
  artifact_no  INTEGER PRIMARY KEY,
  job_no       INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  name         TEXT NOT NULL,
  node         TEXT NOT NULL,
  "index"      INTEGER NOT NULL,
  generation   INTEGER NOT NULL,
  run_id       TEXT NOT NULL,
  key          TEXT NOT NULL,         -- where the accepted attempt wrote it
  sha256       TEXT NOT NULL,
  size_bytes   INTEGER NOT NULL,
  content_type TEXT NOT NULL,
  metadata     TEXT,
  accepted_at  REAL NOT NULL,
  published_at REAL,                  -- since when it stands under its stable name
  superseded   INTEGER NOT NULL CHECK (superseded IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX artifacts_by_name ON artifacts (job_no, name) WHERE superseded = 0;
CREATE INDEX artifacts_unpublished ON artifacts (job_no) WHERE published_at IS NULL AND superseded = 0;

CREATE TABLE logs (
  log_no     INTEGER PRIMARY KEY,
  job_no     INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  node       TEXT NOT NULL,
  "index"    INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  run_id     TEXT NOT NULL,
  at         REAL NOT NULL,
  level      TEXT NOT NULL,
  stream     TEXT NOT NULL,
  message    TEXT NOT NULL,
  fields     TEXT
) STRICT;
CREATE INDEX logs_of_job ON logs (job_no);

CREATE TABLE files (
  file_id      TEXT PRIMARY KEY,
  tenant       TEXT NOT NULL,
  name         TEXT NOT NULL,
  key          TEXT NOT NULL,
  size_bytes   INTEGER NOT NULL,
  sha256       TEXT NOT NULL,
  content_type TEXT NOT NULL,
  created_at   REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE queues (
  name       TEXT PRIMARY KEY,
  paused     INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
  settings   TEXT NOT NULL,           -- limits, as JSON
  updated_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
  session_id   TEXT PRIMARY KEY,
  worker       TEXT NOT NULL,
  hello        TEXT NOT NULL,         -- queues, slots, resources, handlers, host, pid, as JSON
  started_at   REAL NOT NULL,
  last_seen_at REAL NOT NULL,
  ended_at     REAL
) STRICT, WITHOUT ROWID;

-- Counters beside the rows, moved in the same transaction: stats must be cheap with a million rows behind them.
CREATE TABLE job_counts (
  tenant   TEXT NOT NULL,
  workflow TEXT NOT NULL,
  state    TEXT NOT NULL,
  count    INTEGER NOT NULL,
  PRIMARY KEY (tenant, workflow, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE task_counts (
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;
