-- Those whose name or plan changed last, by ascending id. It reads all heads: an index on changed_at would take every change off the
-- page of its head. Their number is maxListed in Go.
-- name: ListProjects :many
SELECT id, name, description, created_at, updated_at FROM projects WHERE id IN (
    SELECT p.id FROM projects p JOIN heads h ON h.project_id = p.id
    ORDER BY greatest(p.updated_at, h.changed_at) DESC, p.id DESC LIMIT 1000
) ORDER BY id;

-- name: CountProjects :one
SELECT count(*) FROM projects;

-- name: GetProject :one
SELECT id, name, description, created_at, updated_at FROM projects WHERE id = @id;

-- name: InsertProject :one
INSERT INTO projects (name, description) VALUES (@name, sqlc.narg(description))
RETURNING id, name, description, created_at, updated_at;

-- The head is born with its project.
-- name: InsertHead :exec
INSERT INTO heads (project_id) VALUES (@project_id);

-- name: UpdateProject :one
UPDATE projects SET name = @name, description = sqlc.narg(description), updated_at = now() WHERE id = @id
RETURNING id, name, description, created_at, updated_at;

-- Locked before the project is deleted, so that a change in flight ends first: locks are taken head first everywhere.
-- name: LockHead :one
SELECT version FROM heads WHERE project_id = @project_id FOR UPDATE;

-- name: DeleteProject :execrows
DELETE FROM projects WHERE id = @id;

-- A page of all projects, by ascending id.
-- name: ListProjectsAfter :many
SELECT id, name, description, created_at, updated_at FROM projects WHERE id > @after ORDER BY id LIMIT @most::int;

-- What an operation id was used for. The project's columns are null when it was deleted since.
-- name: GetProjectOperation :one
SELECT o.request_hash, o.project_id, p.name, p.description, p.created_at, p.updated_at
FROM project_operations o LEFT JOIN projects p ON p.id = o.project_id
WHERE o.op_actor = @op_actor AND o.op_id = @op_id;

-- It waits for others who use the same operation id now, and inserts nothing when one of them was committed.
-- name: InsertProjectOperation :execrows
INSERT INTO project_operations (op_actor, op_id, request_hash, project_id) VALUES (@op_actor, @op_id, @request_hash, @project_id)
ON CONFLICT DO NOTHING;

-- Operation ids are forgotten with the events of the same age, one chunk a statement.
-- name: DeleteOldProjectOperations :execrows
DELETE FROM project_operations WHERE (op_actor, op_id) IN (
    SELECT o.op_actor, o.op_id FROM project_operations o WHERE o.at < @before ORDER BY o.at LIMIT @chunk::int
);
