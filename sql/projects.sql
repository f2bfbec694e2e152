-- Those whose name or plan changed last, by ascending id. It reads all heads: an index on changed_at would take every change off the
-- page of its head. Their number is maxListed in Go.
-- name: ListProjects :many
SELECT id, name, description, created_at, updated_at FROM projects WHERE id IN (
    SELECT p.id FROM projects p JOIN heads h ON h.project_id = p.id
    WHERE (@account::int = 0 OR EXISTS (SELECT FROM collaborators c
        WHERE c.project_id = p.id AND c.user_id = @account AND c.status = 'accepted' AND c.active)) AND (@single::int = 0 OR p.id = @single)
    ORDER BY greatest(p.updated_at, h.changed_at) DESC, p.id DESC LIMIT 1000
) ORDER BY id;

-- A page of projects whose name or description has a text, or of all: those first whose name or plan changed last. It reads all heads, as
-- ListProjects does. What changed is above the place where the next page begins, so who reads on sees no project twice, and misses none that
-- stayed as it was.
-- name: ListRecentProjects :many
SELECT p.id, p.name, p.description, p.created_at, p.updated_at, greatest(p.updated_at, h.changed_at)::timestamptz AS changed_at
FROM projects p JOIN heads h ON h.project_id = p.id
WHERE (sqlc.narg(before)::timestamptz IS NULL OR (greatest(p.updated_at, h.changed_at), p.id) < (sqlc.narg(before), @below::int))
    AND (@search::text = '' OR strpos(lower(p.name), lower(@search)) > 0 OR strpos(lower(p.description), lower(@search)) > 0)
    AND (@account::int = 0 OR EXISTS (SELECT FROM collaborators c
        WHERE c.project_id = p.id AND c.user_id = @account AND c.status = 'accepted' AND c.active)) AND (@single::int = 0 OR p.id = @single)
ORDER BY greatest(p.updated_at, h.changed_at) DESC, p.id DESC LIMIT @most::int;

-- Who is in the given projects, and what last became of their plans. Bodies may be large, so the name of who made the newest change is taken
-- from the beginning, see ListUndoable. Times of events never run backwards in a project and have no index, so the version of an hour ago is
-- found by bisection. Who is on a replica whose lease has expired is not here any more.
-- name: ListLive :many
WITH RECURSIVE part (project_id, low, high) AS (
    SELECT l.project_id, l.log_floor, l.version FROM heads l WHERE l.project_id = ANY (@project_ids::int[])
    UNION ALL
    SELECT p.project_id, CASE WHEN v.old THEN m.version ELSE p.low END, CASE WHEN v.old THEN p.high ELSE m.version - 1 END
    FROM part p
    CROSS JOIN LATERAL (SELECT (p.low + p.high + 1) / 2 AS version) m
    LEFT JOIN LATERAL (
        SELECT b.at < now() - interval '1 hour' AS old FROM events b WHERE b.project_id = p.project_id AND b.version = m.version OFFSET 0
    ) v ON true
    WHERE p.low < p.high
)
SELECT h.project_id, c.people::int AS people, c.agents::int AS agents, c.connections::int AS connections, h.version AS plan_version,
    h.changed_at, coalesce(substring(e.start FROM '"actorName":("(?:[^"\\]|\\.)*")')::json #>> '{}', '')::text AS changed_by,
    (h.version - hour.low)::int AS changes_last_hour
FROM heads h
JOIN part hour ON hour.project_id = h.project_id AND hour.low = hour.high
LEFT JOIN LATERAL (
    SELECT left(n.body::text, 4000) AS start FROM events n WHERE n.project_id = h.project_id AND n.version = h.version OFFSET 0
) e ON true
CROSS JOIN LATERAL (
    SELECT count(DISTINCT w.user_id) FILTER (WHERE NOT w.is_agent) AS people, count(DISTINCT w.user_id) FILTER (WHERE w.is_agent) AS agents,
        count(*) AS connections
    FROM presence w LEFT JOIN replicas r ON r.incarnation = w.incarnation
    WHERE w.project_id = h.project_id AND coalesce(w.expires_at, r.expires_at) > now()
) c
WHERE h.project_id = ANY (@project_ids::int[]);

-- name: CountProjects :one
SELECT count(*) FROM projects p WHERE (@account::int = 0 OR EXISTS (SELECT FROM collaborators c
        WHERE c.project_id = p.id AND c.user_id = @account AND c.status = 'accepted' AND c.active)) AND (@single::int = 0 OR p.id = @single);

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

-- A page of projects, by ascending id.
-- name: ListProjectsAfter :many
SELECT p.id, p.name, p.description, p.created_at, p.updated_at FROM projects p
WHERE p.id > @after AND (@account::int = 0 OR EXISTS (SELECT FROM collaborators c
        WHERE c.project_id = p.id AND c.user_id = @account AND c.status = 'accepted' AND c.active)) AND (@single::int = 0 OR p.id = @single)
ORDER BY p.id LIMIT @most::int;

-- Who makes a project owns it.
-- name: InsertOwner :exec
INSERT INTO collaborators (project_id, user_id, role, status, joined_at, last_active_at)
VALUES (@project_id, @user_id, 'owner', 'accepted', now(), now());

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
DELETE FROM project_operations WHERE ctid = ANY (ARRAY(
    SELECT o.ctid FROM project_operations o WHERE o.at < @before ORDER BY o.at LIMIT @chunk::int
));
