-- Which jobs have a picture that looks like this one? (docs/images.md)

-- name: put_likeness
INSERT INTO likenesses (job_no, name, tenant, hash) VALUES (?, ?, ?, ?)
ON CONFLICT (job_no, name) DO UPDATE SET hash = excluded.hash;

-- name: likenesses_of_job
SELECT likenesses.tenant, likenesses.name, likenesses.hash FROM jobs
JOIN likenesses ON likenesses.job_no = jobs.job_no
JOIN artifacts ON artifacts.job_no = likenesses.job_no AND artifacts.name = likenesses.name AND artifacts.superseded = 0
WHERE jobs.job_id = ? ORDER BY likenesses.name;

-- Everything of a tenant that shares one of its four bands with one of those asked for: all that is near, and some that is not.
-- name: similar_likenesses
SELECT job_no, name, hash FROM likenesses INDEXED BY likenesses_band_0
WHERE tenant = ?1 AND band_0 IN (SELECT value FROM json_each(?2))
UNION
SELECT job_no, name, hash FROM likenesses INDEXED BY likenesses_band_1
WHERE tenant = ?1 AND band_1 IN (SELECT value FROM json_each(?3))
UNION
SELECT job_no, name, hash FROM likenesses INDEXED BY likenesses_band_2
WHERE tenant = ?1 AND band_2 IN (SELECT value FROM json_each(?4))
UNION
SELECT job_no, name, hash FROM likenesses INDEXED BY likenesses_band_3
WHERE tenant = ?1 AND band_3 IN (SELECT value FROM json_each(?5));

-- A job that is being pruned, and a file that left the manifest, are not told.
-- name: job_with_artifact
SELECT jobs.job_id, jobs.workflow, jobs.created_at FROM jobs
JOIN artifacts ON artifacts.job_no = jobs.job_no AND artifacts.name = ? AND artifacts.superseded = 0
WHERE jobs.job_no = ?;
