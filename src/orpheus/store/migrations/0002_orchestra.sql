-- What people, time and other jobs do to a job: each section belongs to one idea.

-- Child jobs (children) -----------------------------------------------------------------------------------------------

-- Apart from `jobs`, so that a job without a parent pays nothing for it.
CREATE TABLE children (
  job_no    INTEGER PRIMARY KEY REFERENCES jobs (job_no) ON DELETE CASCADE,
  parent_no INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE
) STRICT;
CREATE INDEX children_of_parent ON children (parent_no, job_no);

-- Time: schedules (R27) --------------------------------------------------------------------------------------------

CREATE TABLE schedules (
  schedule_no INTEGER PRIMARY KEY,
  schedule_id TEXT NOT NULL UNIQUE,
  tenant      TEXT NOT NULL,
  name        TEXT NOT NULL,
  spec        TEXT NOT NULL,          -- when and what, as JSON
  paused      INTEGER NOT NULL CHECK (paused IN (0, 1)),
  seen_until  REAL NOT NULL,
  next_run_at REAL,                   -- moved in the transaction that creates the job
  created_at  REAL NOT NULL,
  created_by  TEXT NOT NULL,
  updated_at  REAL NOT NULL,
  updated_by  TEXT NOT NULL,
  UNIQUE (tenant, name)
) STRICT;
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE next_run_at IS NOT NULL;

-- What became of each slot; the newest are kept, and those whose job is open.
CREATE TABLE firings (
  firing_no     INTEGER PRIMARY KEY,
  schedule_no   INTEGER NOT NULL REFERENCES schedules (schedule_no) ON DELETE CASCADE,
  scheduled_for REAL NOT NULL,
  at            REAL NOT NULL,
  "trigger"     TEXT NOT NULL CHECK ("trigger" IN ('time', 'manual')),
  outcome       TEXT NOT NULL CHECK (outcome IN ('submitted', 'skipped', 'failed')),
  job_id        TEXT,
  reason        TEXT NOT NULL,
  actor         TEXT NOT NULL
) STRICT;
CREATE INDEX firings_of_schedule ON firings (schedule_no, firing_no);
CREATE UNIQUE INDEX firings_once ON firings (schedule_no, scheduled_for) WHERE "trigger" = 'time';

-- Tenants, and what rates have to remember across a restart (limits) ---------------------------------------------------

CREATE TABLE tenants (
  name       TEXT PRIMARY KEY,
  settings   TEXT NOT NULL,           -- weight and quotas, as JSON
  updated_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- The starts that a rate still counts, written with the claim of a task that is under one (and of no other): without them
-- a restart would let a whole period's worth through at once. `scope` is `queue:NAME` or `task:NAME`.
CREATE TABLE rate_starts (
  run_id  TEXT NOT NULL,
  scope   TEXT NOT NULL,
  at      REAL NOT NULL,
  over_at REAL NOT NULL,              -- from when on it counts no more
  PRIMARY KEY (run_id, scope)
) STRICT, WITHOUT ROWID;
-- access: API keys and the order-level part of the audit trail.

-- Revoked and expired keys stay: the trail names them, and keys once made keep the server shut.
CREATE TABLE api_keys (
  key_id       TEXT PRIMARY KEY,
  name         TEXT NOT NULL,
  role         TEXT NOT NULL CHECK (role IN ('read', 'submit', 'operate', 'admin', 'worker')),
  tenant       TEXT,                  -- NULL: of all tenants
  digest       TEXT NOT NULL,         -- SHA-256 of the whole key; the key itself is nowhere
  priority_cap INTEGER,
  created_at   REAL NOT NULL,
  created_by   TEXT NOT NULL,
  expires_at   REAL,
  last_used_at REAL,
  revoked_at   REAL
) STRICT, WITHOUT ROWID;

-- What was ordered and belongs to no job: keys, queues, schedules, definitions … Jobs have their events.
CREATE TABLE audit (
  audit_no       INTEGER PRIMARY KEY,
  at             REAL NOT NULL,
  type           TEXT NOT NULL,
  actor          TEXT NOT NULL,
  subject        TEXT NOT NULL,
  tenant         TEXT,                -- NULL: of all tenants
  correlation_id TEXT NOT NULL,
  data           TEXT
) STRICT;

-- How long tasks took, for estimates: a histogram per task@version and size of the job's input. Written now and then.
CREATE TABLE durations (
  handler     TEXT NOT NULL,
  size_bucket INTEGER NOT NULL,
  counts      TEXT NOT NULL,          -- {"step": runs}, see engine/durations.py
  PRIMARY KEY (handler, size_bucket)
) STRICT, WITHOUT ROWID;


-- Signalling: who is told of events, and what still has to be told (R28). --------------------------------------------

-- There are few of them, and the engine keeps all in memory: a job that nobody subscribed to costs nothing here.
CREATE TABLE webhooks (
  webhook_id      TEXT PRIMARY KEY,
  tenant          TEXT,              -- NULL: jobs of every tenant
  url             TEXT NOT NULL,
  events          TEXT NOT NULL,     -- JSON list of types and patterns
  workflow        TEXT,
  labels          TEXT NOT NULL,     -- JSON object: all of these the job has to have
  description     TEXT NOT NULL,
  secrets         TEXT NOT NULL,     -- JSON [[secret, until | null], …], the newest first
  enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  disabled_reason TEXT NOT NULL,
  created_at      REAL NOT NULL,
  updated_at      REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- The outbox: written with the event it tells of, so that neither is there without the other. It outlives its job.
CREATE TABLE deliveries (
  delivery_no  INTEGER PRIMARY KEY,
  delivery_id  TEXT NOT NULL UNIQUE,
  destination  TEXT NOT NULL,        -- what it queues up behind: the webhook's id, or the origin of the job's own URL
  webhook_id   TEXT,
  url          TEXT,                 -- of a job's own webhook_url; a webhook's is looked up when it is called
  tenant       TEXT NOT NULL,
  job_id       TEXT,
  seq          INTEGER,              -- of the event
  type         TEXT NOT NULL,
  at           REAL NOT NULL,
  about        TEXT NOT NULL,        -- JSON: the event, and the job's row as it was then
  state        TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts     INTEGER NOT NULL,     -- calls made in all
  tries        INTEGER NOT NULL,     -- calls since it was last queued
  next_at      REAL,
  last_at      REAL,
  last_status  INTEGER,
  last_error   TEXT
) STRICT;
CREATE INDEX deliveries_due            ON deliveries (destination, next_at) WHERE state = 'pending';
CREATE INDEX deliveries_by_destination ON deliveries (destination, delivery_no);
CREATE INDEX deliveries_of_job         ON deliveries (job_id, delivery_no) WHERE job_id IS NOT NULL;
CREATE INDEX deliveries_by_tenant      ON deliveries (tenant, delivery_no);
CREATE INDEX deliveries_settled        ON deliveries (last_at) WHERE state <> 'pending';

-- Storage: cache, use of objects, removal, failures (R21, R23) ---------------------------------------------------------

-- Accepted results that equal tasks may have (R23).
CREATE TABLE known_results (
  key        TEXT PRIMARY KEY,        -- core/cache_key.py
  tenant     TEXT NOT NULL,
  handler    TEXT NOT NULL,
  job_id     TEXT NOT NULL,           -- the job and the run that made it
  run_id     TEXT NOT NULL,
  result     TEXT NOT NULL,
  artifacts  TEXT NOT NULL,           -- as accepted, as JSON
  size_bytes INTEGER NOT NULL,
  created_at REAL NOT NULL,
  used_at    REAL NOT NULL,
  uses       INTEGER NOT NULL
) STRICT;
CREATE INDEX known_results_by_use ON known_results (used_at);

-- What lies in the object store under `object` (a run's, an upload's or a job's id) and is needed by something that did not
-- make it. Whoever removes objects asks here first.
CREATE TABLE known_result_objects (
  object TEXT NOT NULL,
  key    TEXT NOT NULL REFERENCES known_results (key) ON DELETE CASCADE,
  PRIMARY KEY (object, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_result_objects_of_key ON known_result_objects (key);

CREATE TABLE object_uses (
  object TEXT NOT NULL,
  job_no INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  PRIMARY KEY (object, job_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX object_uses_of_job ON object_uses (job_no);

-- Files in the params of jobs of before.
INSERT OR IGNORE INTO object_uses (object, job_no)
SELECT substr(found.key, instr(found.key, '/.files/') + 8, instr(substr(found.key, instr(found.key, '/.files/') + 8), '/') - 1),
  found.job_no
FROM (
  SELECT job_params.job_no, json_extract(inner.value, '$.key') AS key
  FROM job_params, json_tree(job_params.params) AS inner WHERE inner.key = '$file'
) AS found
WHERE instr(found.key, '/.files/') > 0;

-- Asked when a job is pruned, and when its file is to be another job's param.
CREATE INDEX artifacts_of_job ON artifacts (job_no);
CREATE INDEX artifacts_of_run ON artifacts (run_id);

-- Jobs and uploads that are pruned: their rows are out of sight, the rest goes step by step and survives a crash.
CREATE TABLE removals (
  removal_no INTEGER PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind IN ('job', 'file')),
  tenant     TEXT NOT NULL,
  id         TEXT NOT NULL,
  number     INTEGER NOT NULL,        -- of a job: its job_no
  key        TEXT NOT NULL            -- of a file: where it lies
) STRICT;

-- Jobs that are failed now, for grouping (docs/failures.md). Written only when a job fails.
CREATE TABLE failures (
  job_no    INTEGER PRIMARY KEY REFERENCES jobs (job_no) ON DELETE CASCADE,
  tenant    TEXT NOT NULL,
  failure   TEXT NOT NULL,            -- core/fingerprint.py
  workflow  TEXT NOT NULL,
  task      TEXT NOT NULL,
  code      TEXT NOT NULL,
  type      TEXT NOT NULL,
  message   TEXT NOT NULL,            -- normalised
  failed_at REAL NOT NULL
) STRICT;
CREATE INDEX failures_by_time ON failures (failed_at);
CREATE INDEX failures_by_group ON failures (failure, failed_at);

-- Waiting for somebody outside (R22).

-- Kept from the moment they are accepted until the job goes; `taken_at` says that a node has taken it.
CREATE TABLE signals (
  job_no      INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  number      INTEGER NOT NULL,      -- counts the job's signals from 1
  name        TEXT NOT NULL,
  signal_id   TEXT,
  payload     TEXT NOT NULL,
  received_at REAL NOT NULL,
  taken_at    REAL,
  PRIMARY KEY (job_no, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX signals_untaken ON signals (job_no, name, number) WHERE taken_at IS NULL;
CREATE UNIQUE INDEX signals_by_id ON signals (job_no, name, signal_id) WHERE signal_id IS NOT NULL;

-- The one callback a run takes. There is no token in here: it is derived from the run and a key outside of this file.
CREATE TABLE callbacks (
  run_id      TEXT PRIMARY KEY,
  job_no      INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  node        TEXT NOT NULL,
  "index"     INTEGER NOT NULL,
  received_at REAL NOT NULL,
  result      TEXT,
  error       TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX callbacks_of_job ON callbacks (job_no);

-- Likenesses of pictures: which jobs have the same one (docs/images.md). --------------------------------------------

-- Written with an accepted artifact whose metadata holds a `phash`, and with no other. Two hashes of 64 bits that differ in at most
-- 4k + 3 bits differ in at most k bits of one of their four bands of 16: those are looked up instead of all rows.
CREATE TABLE likenesses (
  job_no INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE,
  name   TEXT NOT NULL,               -- of the artifact
  tenant TEXT NOT NULL,
  hash   INTEGER NOT NULL,            -- as a signed number
  band_0 INTEGER NOT NULL GENERATED ALWAYS AS ((hash >> 48) & 65535) VIRTUAL,
  band_1 INTEGER NOT NULL GENERATED ALWAYS AS ((hash >> 32) & 65535) VIRTUAL,
  band_2 INTEGER NOT NULL GENERATED ALWAYS AS ((hash >> 16) & 65535) VIRTUAL,
  band_3 INTEGER NOT NULL GENERATED ALWAYS AS (hash & 65535) VIRTUAL,
  PRIMARY KEY (job_no, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX likenesses_band_0 ON likenesses (tenant, band_0, hash);
CREATE INDEX likenesses_band_1 ON likenesses (tenant, band_1, hash);
CREATE INDEX likenesses_band_2 ON likenesses (tenant, band_2, hash);
CREATE INDEX likenesses_band_3 ON likenesses (tenant, band_3, hash);
