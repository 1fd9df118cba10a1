-- Which graph, and which task, is meant? (R11, R24)

-- name: insert_definition
INSERT INTO definitions (definition_id, name, version, graph, created_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (definition_id) DO NOTHING;

-- name: definition_graph
SELECT graph FROM definitions WHERE definition_id = ?;

-- name: definition_of_name
SELECT definition_id FROM definition_names WHERE name = ? AND version = ?;

-- name: newest_definition_of_name
SELECT definition_id FROM definition_names WHERE name = ? ORDER BY version DESC LIMIT 1;

-- name: name_definition
INSERT INTO definition_names (name, version, definition_id, published_at) VALUES (?, ?, ?, ?);

-- name: all_definitions
SELECT definition_names.name, definition_names.version, definition_id, published_at, graph
FROM definition_names JOIN definitions USING (definition_id)
ORDER BY definition_names.name, definition_names.version DESC;

-- name: task_spec
SELECT content, spec FROM task_specs WHERE name = ? AND version = ?;

-- name: put_task_spec
INSERT INTO task_specs (name, version, content, spec, published_at) VALUES (?, ?, ?, ?, ?);

-- name: change_task_spec
UPDATE task_specs SET spec = ? WHERE name = ? AND version = ?;

-- name: task_made_with
SELECT json_extract(spec, '$.made_with') FROM task_specs WHERE name = ? AND version = ?;

-- name: all_task_specs
SELECT name, version, content, spec, published_at FROM task_specs ORDER BY name, version;

-- name: definition_names
SELECT name, version FROM definition_names ORDER BY name, version LIMIT ?;
