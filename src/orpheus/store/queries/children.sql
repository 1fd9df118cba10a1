-- Child jobs and their parents. A job's own row says which task of its parent opened it.

-- name: insert_child
INSERT INTO children (job_no, parent_no) VALUES (?, ?);
