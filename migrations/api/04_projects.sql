-- The log has no index on times. Versions follow them, so what is older than an hour is found from the newest event downwards.
CREATE OR REPLACE VIEW layercake.projects_live AS
SELECT h.project_id, j.name AS project, coalesce(c.people, 0) AS people, coalesce(c.agents, 0) AS agents,
    coalesce(c.connections, 0) AS connections, h.version AS plan_version, e.at AS last_change_at, e.body ->> 'actorName' AS last_change_by,
    h.version - coalesce((
        SELECT o.version FROM public.events o
        WHERE o.project_id = h.project_id AND o.at < statement_timestamp() - interval '1 hour' ORDER BY o.version DESC LIMIT 1
    ), h.log_floor) AS changes_1h
FROM public.heads h
JOIN public.projects j ON j.id = h.project_id
LEFT JOIN public.events e ON e.project_id = h.project_id AND e.version = h.version
LEFT JOIN (
    SELECT w.project_id, count(DISTINCT w.user_id) FILTER (WHERE NOT w.is_agent) AS people,
        count(DISTINCT w.user_id) FILTER (WHERE w.is_agent) AS agents, count(*) AS connections
    FROM layercake.who w GROUP BY w.project_id
) c ON c.project_id = h.project_id
WHERE c.connections > 0 OR h.changed_at > statement_timestamp() - interval '1 hour';
COMMENT ON VIEW layercake.projects_live IS 'Projects that somebody is in, or whose plan is new or changed within the last hour.';
COMMENT ON COLUMN layercake.projects_live.project_id IS 'The project.';
COMMENT ON COLUMN layercake.projects_live.project IS 'Its name.';
COMMENT ON COLUMN layercake.projects_live.people IS 'Different people who are in it.';
COMMENT ON COLUMN layercake.projects_live.agents IS 'Different programs that are.';
COMMENT ON COLUMN layercake.projects_live.connections IS 'Connections of them all: two tabs are two.';
COMMENT ON COLUMN layercake.projects_live.plan_version IS 'The version of its plan; 0 before the first change.';
COMMENT ON COLUMN layercake.projects_live.last_change_at IS 'When the plan last changed; null before the first change.';
COMMENT ON COLUMN layercake.projects_live.last_change_by IS 'Who changed it.';
COMMENT ON COLUMN layercake.projects_live.changes_1h IS 'Changes within the last hour.';

CREATE OR REPLACE VIEW layercake.plan_history AS
SELECT e.project_id, e.version, e.at, e.body ->> 'actorName' AS actor_name, e.body ->> 'actorKind' AS actor_kind,
    e.body ->> 'via' AS via,
    CASE CASE WHEN json_typeof(e.body -> 'operations') = 'array' THEN json_array_length(e.body -> 'operations') ELSE 0 END
    WHEN 0 THEN 'nothing'
    WHEN 1 THEN (
        SELECT CASE WHEN o.kind = 'PLAN_UPDATED' THEN 'updated the plan'
            WHEN o.kind ~ '^((NODE|EDGE)_(ADDED|UPDATED|REMOVED)|EXECUTION_CHANGED)$'
            THEN lower(split_part(o.kind, '_', 2) || ' ' || split_part(o.kind, '_', 1)) || ' ' || o.id
            ELSE concat_ws(' ', coalesce(o.kind, 'unknown'), o.id) END
        FROM (SELECT e.body #>> '{operations,0,kind}' AS kind, e.body #>> '{operations,0,id}' AS id) o
    )
    ELSE (
        SELECT format('%s operations: %s', sum(k.n), string_agg(k.n || ' ' || k.kind, ', ' ORDER BY k.n DESC, k.kind))
        FROM (
            SELECT coalesce(o.op ->> 'kind', 'unknown') AS kind, count(*) AS n FROM json_array_elements(e.body -> 'operations') o (op) GROUP BY 1
        ) k
    ) END AS summary,
    e.body -> 'operations' AS operations, e.op_id, e.body ->> 'note' AS note, e.body ->> 'actorId' AS actor_id,
    e.body ->> 'clientId' AS client_id, e.undoes,
    -- An undo that is undone does not count. So from undo to undo of it, the newest each time: if their number is odd, the first stands.
    (WITH RECURSIVE undos (version, place) AS (
        SELECT e.version, 0
        UNION ALL
        SELECT n.version, u.place + 1 FROM undos u CROSS JOIN LATERAL (
            SELECT o.version FROM public.events o WHERE o.project_id = e.project_id AND o.undoes = u.version ORDER BY o.version DESC LIMIT 1
        ) n
    )
    SELECT CASE WHEN count(*) % 2 = 0 THEN min(u.version) FILTER (WHERE u.place = 1) END FROM undos u) AS undone_by
FROM public.events e;
COMMENT ON VIEW layercake.plan_history IS 'What became of each plan: one row a change, as far back as the log is kept. Ask for one project, by version.';
COMMENT ON COLUMN layercake.plan_history.project_id IS 'The project.';
COMMENT ON COLUMN layercake.plan_history.version IS 'The version of the plan after the change.';
COMMENT ON COLUMN layercake.plan_history.at IS 'When it was committed.';
COMMENT ON COLUMN layercake.plan_history.actor_name IS 'Who made it.';
COMMENT ON COLUMN layercake.plan_history.actor_kind IS 'What they are: a person, an agent, the system.';
COMMENT ON COLUMN layercake.plan_history.via IS 'The transport that brought it.';
COMMENT ON COLUMN layercake.plan_history.summary IS 'What it did, in a sentence.';
COMMENT ON COLUMN layercake.plan_history.operations IS 'Each step of it: an array of kind, id, index, and the values before and after.';
COMMENT ON COLUMN layercake.plan_history.op_id IS 'The operation id that the client gave, or the server.';
COMMENT ON COLUMN layercake.plan_history.note IS 'What the author says of it; null when nothing.';
COMMENT ON COLUMN layercake.plan_history.actor_id IS 'The id of who made it. Anonymous callers have one by their client id, or for the request.';
COMMENT ON COLUMN layercake.plan_history.client_id IS 'The id that the client gave itself; null when none.';
COMMENT ON COLUMN layercake.plan_history.undoes IS 'The version that it takes back; null when it takes nothing back.';
COMMENT ON COLUMN layercake.plan_history.undone_by IS 'The version that takes it back; null while it stands.';
