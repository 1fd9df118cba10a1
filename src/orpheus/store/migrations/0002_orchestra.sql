-- What people, time and other jobs do to a job: each section belongs to one idea.

-- Child jobs (children) -----------------------------------------------------------------------------------------------

-- Apart from `jobs`, so that a job without a parent pays nothing for it.
CREATE TABLE children (
  job_no    INTEGER PRIMARY KEY REFERENCES jobs (job_no) ON DELETE CASCADE,
  parent_no INTEGER NOT NULL REFERENCES jobs (job_no) ON DELETE CASCADE
) STRICT;
CREATE INDEX children_of_parent ON children (parent_no, job_no);
