-- Which files stand in a job's manifest? (R10)

-- name: insert_artifact
INSERT INTO artifacts (job_no, name, node, "index", generation, run_id, key, sha256, size_bytes, content_type, metadata,
  accepted_at, published_at, superseded)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, -1), ?, NULL, 0);

-- name: has_artifact
SELECT 1 FROM artifacts WHERE job_no = ? AND name = ? AND superseded = 0;

-- name: publish_artifact
UPDATE artifacts SET published_at = ? WHERE job_no = ? AND name = ? AND superseded = 0;

-- A rewound task's files leave the manifest; the new generation may save the same names again (R20).
-- name: supersede_artifacts
UPDATE artifacts SET superseded = 1 WHERE job_no = ? AND node = ? AND "index" = ? AND generation = ? AND superseded = 0;

-- name: artifacts_of_job
SELECT name, node, "index", generation, run_id, key, sha256, size_bytes, content_type, metadata, accepted_at, published_at
FROM artifacts WHERE job_no = (SELECT job_no FROM jobs WHERE job_id = ?) AND superseded = 0 ORDER BY artifact_no;

-- name: unpublished_artifacts
SELECT name, node, "index", generation, run_id, key, sha256, size_bytes, content_type, metadata, accepted_at, published_at
FROM artifacts WHERE job_no = (SELECT job_no FROM jobs WHERE job_id = ?) AND superseded = 0 AND published_at IS NULL
ORDER BY artifact_no;
