-- name: ListProjects :many
SELECT id, name, description, created_at, updated_at FROM projects ORDER BY id;

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
