-- Child jobs and their parents. A job's own row says which task of its parent opened it.

-- name: insert_child
INSERT INTO children (job_no, parent_no) VALUES (?, ?);

-- name: count_of_children
SELECT count(*) FROM (
  SELECT 1 FROM children JOIN jobs ON jobs.job_no = children.parent_no WHERE jobs.job_id = ? LIMIT 1000);
