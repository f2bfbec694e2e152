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
