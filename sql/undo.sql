-- What a caller names to be taken back: its event, with how far the log reaches. Undone counts the versions that it takes back, one through
-- the other: an undo has 1, the redo of it 2. Whatever the table holds, each is looked up by its key. A body of more than so many bytes stays
-- where it is, and only its size is told.
-- name: GetEventToUndo :one
WITH RECURSIVE chain (version) AS (
    SELECT @version::bigint
    UNION ALL
    SELECT (SELECT d.undoes FROM events d WHERE d.project_id = @project_id AND d.version = c.version) FROM chain c WHERE c.version IS NOT NULL
)
SELECT h.version AS head, h.log_floor, coalesce(e.size, 0)::bigint AS size,
    (CASE WHEN coalesce(e.size, 0) <= @most::bigint THEN e.body END)::json AS body, ((SELECT count(c.version) FROM chain c) - 1)::bigint AS undone
FROM heads h LEFT JOIN events e ON e.project_id = h.project_id AND e.version = @version::bigint
WHERE h.project_id = @project_id;

-- The version that took an event back and stands; 0 when the event stands. An event that is undone cannot be undone again, so of all that took
-- it back only the newest can stand, and of those that took that one back, too.
-- name: GetUndoneBy :one
WITH RECURSIVE chain (version, place) AS (
    SELECT @version::bigint, 0
    UNION ALL
    SELECT (SELECT max(e.version) FROM events e WHERE e.project_id = @project_id AND e.undoes = c.version), c.place + 1
    FROM chain c WHERE c.version IS NOT NULL
)
SELECT (CASE WHEN count(c.version) % 2 = 0 THEN max(c.version) FILTER (WHERE c.place = 1) ELSE 0 END)::bigint AS undone_by FROM chain c;

-- The newest events of a project that edit, with what each takes back (0 for nothing) and whether it is the caller's own: of an actor and, unless that is
-- empty, with a text near the beginning of the body, the client id or the id of an agent. A body begins with at most 4,000 characters of what is no operation,
-- and in JSON no text of somebody else's can look like the member.
-- name: ListUndoable :many
SELECT e.version, coalesce(e.undoes, 0)::bigint AS undoes,
    (e.op_actor = @op_actor AND (@own_text::text = '' OR strpos(left(e.body::text, 4000), @own_text::text) > 0))::boolean AS own
FROM events e WHERE e.project_id::bigint = @project_id::int AND e.edits ORDER BY e.version DESC LIMIT @most::int;

-- What is taken back by so many of the newest events that edit, one through the other, as far as it is older than these: it tells undos from redos.
-- name: ListUndoneOlder :many
WITH RECURSIVE recent AS MATERIALIZED (
    SELECT r.version, r.undoes FROM events r WHERE r.project_id::bigint = @project_id::int AND r.edits ORDER BY r.version DESC LIMIT @most::int
), older (version) AS (
    SELECT r.undoes FROM recent r WHERE r.undoes < (SELECT min(o.version) FROM recent o)
    UNION
    SELECT (SELECT d.undoes FROM events d WHERE d.project_id = @project_id AND d.version = c.version) FROM older c WHERE c.version IS NOT NULL
)
SELECT o.version::bigint AS version,
    coalesce((SELECT d.undoes FROM events d WHERE d.project_id = @project_id AND d.version = o.version), 0)::bigint AS undoes, false AS own
FROM older o WHERE o.version IS NOT NULL;

-- The events between two versions, both included, that may be about elements: their bodies hold one of some texts.
-- name: ListEventsAbout :many
SELECT e.body FROM events e
WHERE e.project_id = @project_id AND e.version >= @first AND e.version <= @last
    AND EXISTS (SELECT 1 FROM unnest(@texts::text[]) t WHERE strpos(e.body::text, t) > 0)
ORDER BY e.version;
