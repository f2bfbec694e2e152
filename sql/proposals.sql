-- Steps the revision of a project's proposals, and takes the lock under which they are written. It answers nothing when the project does
-- not exist.
-- name: StepProposals :one
INSERT INTO proposal_heads AS h (project_id, revision, last_id)
SELECT p.project_id, 1, @added::integer FROM heads p WHERE p.project_id = @project_id
ON CONFLICT (project_id) DO UPDATE SET revision = h.revision + 1, last_id = h.last_id + excluded.last_id
RETURNING revision, last_id;

-- Where the proposals of projects are. Projects that do not exist are missing.
-- name: ListProposalHeads :many
SELECT h.project_id, coalesce(p.revision, 0)::bigint AS revision
FROM heads h LEFT JOIN proposal_heads p ON p.project_id = h.project_id WHERE h.project_id = ANY (@project_ids::int[]);

-- The project is a bigint wherever another index than the primary key is to be used, see migrations/00022_agent_indexes.sql.
-- name: CountOpenProposals :one
SELECT count(*) AS proposals, coalesce(sum(size), 0)::bigint AS bytes FROM proposals
WHERE project_id::bigint = @project_id::int AND status = 'OPEN';

-- name: InsertProposal :one
INSERT INTO proposals (project_id, id, revision, status, operations, size, base_version, note, by_id, by_kind, by_name, op_actor, op_id, request_hash,
    by_lasting_id)
VALUES (@project_id, @id, @revision, 'OPEN', @operations, @size, @base_version, sqlc.narg(note), @by_id, @by_kind, @by_name, @op_actor,
    @op_id, @request_hash, sqlc.narg(by_lasting_id))
RETURNING project_id, id, revision, status, operations, size, base_version, note, by_id, by_kind, by_name, op_actor, op_id, request_hash,
    created_at, decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at, reason, version, by_lasting_id;

-- name: GetProposal :one
SELECT project_id, id, revision, status, operations, size, base_version, note, by_id, by_kind, by_name, op_actor, op_id, request_hash,
    created_at, decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at, reason, version, by_lasting_id
FROM proposals WHERE project_id = @project_id AND id = @id;

-- name: GetProposalStatus :one
SELECT status FROM proposals WHERE project_id = @project_id AND id = @id;

-- name: GetProposalOfOperation :one
SELECT project_id, id, revision, status, operations, size, base_version, note, by_id, by_kind, by_name, op_actor, op_id, request_hash,
    created_at, decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at, reason, version, by_lasting_id
FROM proposals WHERE project_id::bigint = @project_id::int AND op_actor = @op_actor AND op_id = @op_id;

-- The next three are pages: at most so many proposals, which have no more bytes than given beyond the first. The sizes are summed before
-- the proposals are read, by their places in the table: to join with them, the planner may read all of the project. Each asks with its own
-- index: a page of any status, newest first, takes the newest of each.
-- name: ListProposals :many
SELECT project_id, id, revision, status, operations, size, base_version, note, by_id, by_kind, by_name, op_actor, op_id, request_hash,
    created_at, decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at, reason, version, by_lasting_id
FROM proposals WHERE ctid = ANY (ARRAY(
    SELECT k.place FROM (
        SELECT l.place, sum(l.size) OVER (ORDER BY l.id DESC) - l.size AS before FROM (
            SELECT n.place, n.id, n.size FROM unnest(@statuses::text[]) s (status) CROSS JOIN LATERAL (
                SELECT o.ctid AS place, o.id, o.size FROM proposals o
                WHERE o.project_id::bigint = @project_id::int AND o.status = s.status AND o.id < @below ORDER BY o.id DESC LIMIT @most
            ) n ORDER BY n.id DESC LIMIT @most
        ) l
    ) k WHERE k.before < @max_bytes::bigint
)) ORDER BY id DESC;

-- name: HasProposalsBelow :one
SELECT EXISTS (
    SELECT FROM unnest(@statuses::text[]) s (status) CROSS JOIN LATERAL (
        SELECT FROM proposals o WHERE o.project_id::bigint = @project_id::int AND o.status = s.status AND o.id < @below LIMIT 1
    ) l
);

-- The open ones between two revisions, by ascending revision.
-- name: ListOpenProposals :many
SELECT project_id, id, revision, status, operations, size, base_version, note, by_id, by_kind, by_name, op_actor, op_id, request_hash,
    created_at, decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at, reason, version, by_lasting_id
FROM proposals WHERE ctid = ANY (ARRAY(
    SELECT k.place FROM (
        SELECT l.place, sum(l.size) OVER (ORDER BY l.revision) - l.size AS before FROM (
            SELECT o.ctid AS place, o.revision, o.size FROM proposals o
            WHERE o.project_id::bigint = @project_id::int AND o.status = 'OPEN' AND o.revision > @after AND o.revision <= @upto ORDER BY o.revision LIMIT @most
        ) l
    ) k WHERE k.before < @max_bytes::bigint
)) ORDER BY revision;

-- Those that changed after a revision, by ascending revision. That ids are positive leaves it the index of revisions, and that index nobody else.
-- name: ListProposalsAfter :many
SELECT project_id, id, revision, status, operations, size, base_version, note, by_id, by_kind, by_name, op_actor, op_id, request_hash,
    created_at, decided_by_id, decided_by_kind, decided_by_name, decided_op_id, decided_at, reason, version, by_lasting_id
FROM proposals WHERE ctid = ANY (ARRAY(
    SELECT k.place FROM (
        SELECT l.place, sum(l.size) OVER (ORDER BY l.revision) - l.size AS before FROM (
            SELECT o.ctid AS place, o.revision, o.size FROM proposals o
            WHERE o.project_id::bigint = @project_id::int AND o.id > 0 AND o.revision > @after ORDER BY o.revision LIMIT @most
        ) l
    ) k WHERE k.before < @max_bytes::bigint
)) ORDER BY revision;

-- Decides an open proposal, at a revision that was stepped in the same transaction.
-- name: CloseProposal :execrows
UPDATE proposals SET revision = @revision, status = @status, decided_by_id = @decided_by_id::text, decided_by_kind = @decided_by_kind::text,
    decided_by_name = @decided_by_name::text, decided_op_id = @decided_op_id::text, decided_at = now(), reason = sqlc.narg(reason),
    version = sqlc.narg(version)
WHERE project_id = @project_id AND id = @id AND status = 'OPEN';

-- Removes some that were decided long ago. Those that are locked go with their project at this moment.
-- name: DeleteOldProposals :execrows
DELETE FROM proposals WHERE ctid = ANY (ARRAY(
    SELECT o.ctid FROM proposals o WHERE o.decided_at < @before::timestamptz ORDER BY o.decided_at LIMIT @most::int FOR UPDATE SKIP LOCKED
));
