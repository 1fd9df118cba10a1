-- Fewer entries of indexes for an attempt (ADR 0034).

-- It held every attempt under way: in at the claim, out at the end. Memory knows these, and at the start they are found by way of
-- their jobs. What is left are runs that nobody holds, because their task waits for a callback.
DROP INDEX tasks_of_run;
CREATE INDEX tasks_waiting ON tasks (run_id) WHERE state = 'waiting' AND run_id IS NOT NULL;
