-- The past of plans, from the log and from checkpoints. All of it only reads, with one snapshot, and so answers on a hot standby, too.
-- Functions in public are its parts: they check nothing, and nobody may call them but what is here, with its owner's rights.
--
-- The order of a plan follows from one fact: what is added comes last. So whatever was there at a version stood before everything that was
-- added since, and the index in an operation that removes such an element counts only elements that were there at that version.

-- The steps of the events after one version up to another, but for kinds that this release does not know. It sets no search_path, because
-- then it is planned as a part of the query that calls it, which leaves out what it does not need: parsing is what takes the time.
CREATE OR REPLACE FUNCTION public.plan_operations(project integer, after_version bigint, last_version bigint)
RETURNS TABLE (version bigint, step bigint, kind text, element text, id text, index integer, before json, after json, actor_name text)
LANGUAGE sql STABLE AS $$
    SELECT e.version, o.step, r.kind, lower(split_part(r.kind, '_', 1)), r.id, r.index::integer, r.before, r.after, e.body ->> 'actorName'
    FROM public.events e
    CROSS JOIN LATERAL (SELECT e.body -> 'operations' AS list OFFSET 0) l
    CROSS JOIN LATERAL json_array_elements(CASE json_typeof(l.list) WHEN 'array' THEN l.list END) WITH ORDINALITY o (operation, step)
    CROSS JOIN LATERAL json_to_record(CASE json_typeof(o.operation) WHEN 'object' THEN o.operation END)
        r (kind text, id text, index text, before json, after json)
    WHERE e.project_id = project AND e.version > after_version AND e.version <= last_version
        AND r.kind IN ('NODE_ADDED', 'NODE_UPDATED', 'NODE_REMOVED', 'EDGE_ADDED', 'EDGE_UPDATED', 'EDGE_REMOVED', 'PLAN_UPDATED')
$$;
REVOKE ALL ON FUNCTION public.plan_operations(integer, bigint, bigint) FROM PUBLIC;

-- The elements of a plan as its tables have them: nodes, edges and the record, each in the form that events show. It needs the settings of
-- walk_plan, so that numbers and times are as the server writes them.
CREATE OR REPLACE FUNCTION public.plan_of_rows(project integer) RETURNS TABLE (element text, id text, place bigint, value json)
LANGUAGE sql STABLE AS $$
    SELECT 'node', n.id, n.ordinal, json_build_object('id', n.id, 'nodeType', n.node_type,
        'position', json_build_object('x', n.position_x, 'y', n.position_y), 'sourcePosition', n.source_position,
        'targetPosition', n.target_position, 'metadata', json_build_object('label', n.label, 'description', n.description),
        'config', n.config::text, 'createdAt', n.created_at, 'updatedAt', n.updated_at)
    FROM public.plan_nodes n WHERE n.project_id = project
    UNION ALL
    SELECT 'edge', e.id, e.ordinal, json_build_object('id', e.id, 'source', e.source, 'target', e.target,
        'sourceHandle', e.source_handle, 'targetHandle', e.target_handle,
        'metadata', json_build_object('label', e.label, 'dataType', e.data_type), 'createdAt', e.created_at, 'updatedAt', e.updated_at)
    FROM public.plan_edges e WHERE e.project_id = project
    UNION ALL
    SELECT 'plan', '', 0,
        json_build_object('name', p.name, 'yamlContent', p.yaml_content, 'dependencies', p.dependencies, 'status', p.status)
    FROM public.plans p WHERE p.project_id = project
$$;
REVOKE ALL ON FUNCTION public.plan_of_rows(integer) FROM PUBLIC;

-- The same of a checkpoint.
CREATE OR REPLACE FUNCTION public.plan_of_checkpoint(project integer, at_version bigint)
RETURNS TABLE (element text, id text, place bigint, value json)
LANGUAGE sql STABLE AS $$
    SELECT l.element, v.value ->> 'id', v.place, v.value
    FROM public.checkpoints c
    CROSS JOIN LATERAL json_to_record(c.body) b (nodes json, edges json)
    CROSS JOIN LATERAL (VALUES ('node', b.nodes), ('edge', b.edges)) l (element, list)
    CROSS JOIN LATERAL json_array_elements(l.list) WITH ORDINALITY v (value, place)
    WHERE c.project_id = project AND c.version = at_version
    UNION ALL
    SELECT 'plan', '', 0, c.body -> 'plan' FROM public.checkpoints c WHERE c.project_id = project AND c.version = at_version
$$;
REVOKE ALL ON FUNCTION public.plan_of_checkpoint(integer, bigint) FROM PUBLIC;

-- Whether a checkpoint is what was written.
CREATE OR REPLACE FUNCTION public.intact(checkpoint public.checkpoints) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(convert_to(checkpoint.body::text, 'UTF8')) = checkpoint.sum
$$;
REVOKE ALL ON FUNCTION public.intact(public.checkpoints) FROM PUBLIC;

-- The same of version 0, which has nothing but a record: what the first change of it found, or else that with which the server creates plans.
-- The current one would not do: something may have written it that was no change. A checkpoint says where the search may end.
CREATE OR REPLACE FUNCTION public.plan_at_birth(project integer) RETURNS TABLE (element text, id text, place bigint, value json)
LANGUAGE sql STABLE AS $$
    SELECT r.element, r.id, r.place, coalesce(
        (SELECT o.before
        FROM public.events e
        CROSS JOIN LATERAL public.plan_operations(e.project_id, e.version - 1, e.version) o
        WHERE e.project_id = project AND e.version <= coalesce(c.version, 2147483647)
            AND strpos(e.body::text, '"PLAN_UPDATED"') > 0 AND o.element = 'plan' -- the former spares parsing all
        ORDER BY e.version, o.step LIMIT 1),
        c.body -> 'plan', json_build_object('name', format('Plan for Project %s', project), 'yamlContent', '', 'dependencies', NULL,
            'status', 'draft'))
    FROM public.plan_of_rows(project) r
    LEFT JOIN LATERAL (SELECT n.version, n.body FROM public.checkpoints n
        WHERE n.project_id = project AND public.intact(n) ORDER BY n.version LIMIT 1) c ON true
    WHERE r.element = 'plan'
$$;
REVOKE ALL ON FUNCTION public.plan_at_birth(integer) FROM PUBLIC;

-- The order of a list from which elements were removed: the numbers 1 to kept are what stayed, in order, and the next ones are put back one
-- after the other, each at its index.
CREATE OR REPLACE FUNCTION public.put_back(kept integer, indexes integer[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    list integer[] := ARRAY(SELECT generate_series(1, kept));
    place integer;
BEGIN
    FOREACH place IN ARRAY coalesce(indexes, '{}') LOOP
        list := list[:place] || cardinality(list) + 1 || list[place + 1:];
    END LOOP;
    RETURN list;
END $$;
REVOKE ALL ON FUNCTION public.put_back(integer, integer[]) FROM PUBLIC;

-- The elements of a plan at a version, in the form of plan_of_rows, from a base: rows, checkpoint or birth, at its version, which may be
-- before or after it. Of each element only the step that is nearest to the wanted version counts.
CREATE OR REPLACE FUNCTION public.walk_plan(project integer, base text, base_version bigint, to_version bigint)
RETURNS TABLE (element text, id text, place bigint, value json)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET extra_float_digits = 1 SET jit = off AS $$
#variable_conflict use_column
DECLARE
    back boolean := to_version < base_version;
    toward integer := CASE WHEN back THEN 1 ELSE -1 END; -- sorts steps from the wanted version to the base
BEGIN
    RETURN QUERY
    WITH steps AS (
        SELECT o.version, o.step, o.kind, o.element, CASE o.element WHEN 'plan' THEN '' ELSE o.id END AS id, o.index,
            CASE WHEN back THEN o.before ELSE o.after END AS value
        FROM public.plan_operations(project, least(base_version, to_version), greatest(base_version, to_version)) o
    ), known AS (
        SELECT r.element, r.id, r.place, r.value FROM public.plan_of_rows(project) r WHERE base = 'rows'
        UNION ALL
        SELECT c.element, c.id, c.place, c.value FROM public.plan_of_checkpoint(project, base_version) c WHERE base = 'checkpoint'
        UNION ALL
        SELECT b.element, b.id, b.place, b.value FROM public.plan_at_birth(project) b WHERE base = 'birth'
    ), touched AS (
        SELECT DISTINCT ON (s.element, s.id) s.element, s.id, s.value
        FROM steps s ORDER BY s.element, s.id, s.version * toward, s.step * toward
    ), moved AS ( -- what comes to another place on the way: elements that are put back, or that are added
        SELECT DISTINCT ON (s.element, s.id) s.element, s.id, s.index, s.version, s.step
        FROM steps s WHERE s.kind = ANY (CASE WHEN back THEN '{NODE_REMOVED, EDGE_REMOVED}' ELSE '{NODE_ADDED, EDGE_ADDED}' END::text[])
        ORDER BY s.element, s.id, s.version * toward, s.step * toward
    ), present AS ( -- numbered: those that keep their place, then those that come to one, in the order in which they do
        SELECT element, id, coalesce(t.value, k.value) AS value, m.index,
            row_number() OVER (PARTITION BY element ORDER BY m.version * -toward NULLS FIRST, m.step * -toward, k.place) AS number
        FROM known k
        FULL JOIN touched t USING (element, id)
        LEFT JOIN moved m USING (element, id)
        WHERE t.id IS NULL OR t.value IS NOT NULL
    ), placed AS (
        SELECT l.element, o.number, o.place
        FROM (SELECT p.element, public.put_back(count(*) FILTER (WHERE p.index IS NULL)::integer,
                array_agg(p.index ORDER BY p.number) FILTER (WHERE p.index IS NOT NULL)) AS numbers
            FROM present p WHERE back GROUP BY p.element) l
        CROSS JOIN LATERAL unnest(l.numbers) WITH ORDINALITY o (number, place)
    )
    SELECT element, p.id, coalesce(o.place, number), p.value FROM present p LEFT JOIN placed o USING (element, number);
END $$;
REVOKE ALL ON FUNCTION public.walk_plan(integer, text, bigint, bigint) FROM PUBLIC;

-- Refuses to read over a gap in the log.
CREATE OR REPLACE FUNCTION public.require_events(project integer, after_version bigint, last_version bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT count(*) FROM public.events e WHERE e.project_id = project AND e.version > after_version AND e.version <= last_version)
        <> last_version - after_version
    THEN
        RAISE EXCEPTION 'Events of project % between the versions % and % are missing', project, after_version, last_version
            USING ERRCODE = 'data_corrupted', HINT = format('Ask what else is: SELECT * FROM layercake.verify_plan(%s);', project);
    END IF;
END $$;
REVOKE ALL ON FUNCTION public.require_events(integer, bigint, bigint) FROM PUBLIC;

-- The elements of a plan at a version that is kept, from whatever is nearest and whole: its rows, a checkpoint, or nothing, with which
-- every plan begins.
CREATE OR REPLACE FUNCTION public.past_plan(head public.heads, to_version bigint)
RETURNS TABLE (element text, id text, place bigint, value json)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    base record;
BEGIN
    FOR base IN
        SELECT b.kind, b.version
        FROM (SELECT 'rows' AS kind, head.version
            UNION ALL SELECT 'birth', 0 WHERE head.log_floor = 0
            UNION ALL SELECT 'checkpoint', c.version FROM public.checkpoints c
                WHERE c.project_id = head.project_id AND c.version BETWEEN head.log_floor AND head.version) b
        ORDER BY abs(b.version - to_version), b.kind DESC
    LOOP
        EXIT WHEN base.kind <> 'checkpoint'
            OR (SELECT public.intact(c) FROM public.checkpoints c WHERE c.project_id = head.project_id AND c.version = base.version);
        RAISE WARNING 'The checkpoint of project % at version % is damaged, and not used', head.project_id, base.version;
    END LOOP;
    PERFORM public.require_events(head.project_id, least(base.version, to_version), greatest(base.version, to_version));
    RETURN QUERY SELECT w.* FROM public.walk_plan(head.project_id, base.kind, base.version, to_version) w;
END $$;
REVOKE ALL ON FUNCTION public.past_plan(public.heads, bigint) FROM PUBLIC;

-- The head of a project.
CREATE OR REPLACE FUNCTION public.head_of(project integer) RETURNS public.heads
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head public.heads;
BEGIN
    SELECT h.* INTO head FROM public.heads h WHERE h.project_id = project;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is no project %', coalesce(project::text, 'null') USING ERRCODE = 'no_data_found',
            HINT = 'It may be deleted. Those that are in use: SELECT project_id, project FROM layercake.projects_live;';
    END IF;
    RETURN head;
END $$;
REVOKE ALL ON FUNCTION public.head_of(integer) FROM PUBLIC;

-- The oldest version that can be asked for. That at the floor of the log has no event any more, and so no time.
CREATE OR REPLACE FUNCTION public.oldest_version(head public.heads) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE head.log_floor WHEN 0 THEN 0 ELSE head.log_floor + 1 END
$$;
REVOKE ALL ON FUNCTION public.oldest_version(public.heads) FROM PUBLIC;

-- Refuses a version that cannot be asked for.
CREATE OR REPLACE FUNCTION public.require_version(head public.heads, version bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    oldest bigint := public.oldest_version(head);
BEGIN
    IF version BETWEEN 0 AND oldest - 1 THEN
        RAISE EXCEPTION 'Version % of project % is not kept any more', version, head.project_id USING ERRCODE = 'no_data_found',
            HINT = format('Give one from %s, the oldest, to %s, the newest.', oldest, head.version);
    ELSIF version BETWEEN 0 AND head.version THEN
        RETURN;
    END IF;
    RAISE EXCEPTION 'The version is %, and that of project % is %', coalesce(version::text, 'null'), head.project_id, head.version
        USING ERRCODE = 'invalid_parameter_value', HINT = format('Give one from %s, the oldest, to %s, the newest.', oldest, head.version);
END $$;
REVOKE ALL ON FUNCTION public.require_version(public.heads, bigint) FROM PUBLIC;

CREATE OR REPLACE FUNCTION layercake.plan_at(project_id integer, version bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    head public.heads := public.head_of(plan_at.project_id);
BEGIN
    PERFORM public.require_version(head, plan_at.version);
    RETURN (SELECT json_build_object(
            'version', plan_at.version::text, 'nodes', coalesce(l.nodes, '[]'), 'edges', coalesce(l.edges, '[]'),
            'metadata', json_build_object(
                'version', concat_ws('~', plan_at.version, coalesce(e.hash, public.event_hash(e.body::text), head.floor_hash)),
                'name', l.name, 'created', p.created_at, 'lastModified', coalesce(e.at, p.created_at)))::jsonb
        FROM (SELECT json_agg(w.value ORDER BY w.place) FILTER (WHERE w.element = 'node') AS nodes,
                json_agg(w.value ORDER BY w.place) FILTER (WHERE w.element = 'edge') AS edges,
                max(w.value ->> 'name') FILTER (WHERE w.element = 'plan') AS name
            FROM public.past_plan(head, plan_at.version) w) l
        JOIN public.plans p ON p.project_id = plan_at.project_id
        LEFT JOIN public.events e ON e.project_id = p.project_id AND e.version = plan_at.version); -- version 0 has none
END $$;
COMMENT ON FUNCTION layercake.plan_at(integer, bigint) IS
    'The plan of a project after a version, as getPlanDag showed it then: version, nodes and edges in their order, metadata. As far back as the log is kept.';

CREATE OR REPLACE FUNCTION layercake.plan_at(project_id integer, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head public.heads := public.head_of(plan_at.project_id);
    low bigint := head.log_floor;
    high bigint := head.version;
    middle bigint;
    oldest timestamptz;
BEGIN
    IF plan_at.at IS NULL OR plan_at.at > clock_timestamp() THEN
        RAISE EXCEPTION 'The time is %', coalesce(plan_at.at::text, 'null') USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Give one that is not in the future, such as now() - interval ''1 day''.';
    END IF;
    WHILE low < high LOOP -- times never run backwards in a project
        middle := (low + high + 1) / 2;
        IF (SELECT e.at FROM public.events e WHERE e.project_id = plan_at.project_id AND e.version = middle) <= plan_at.at THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    IF low = head.log_floor THEN -- before the oldest event
        SELECT coalesce(max(e.at), max(p.created_at)) INTO oldest
        FROM public.plans p
        LEFT JOIN public.events e ON e.project_id = p.project_id AND e.version = head.log_floor + 1 AND head.log_floor > 0
        WHERE p.project_id = plan_at.project_id;
        IF plan_at.at < oldest THEN
            RAISE EXCEPTION 'The plan of project % at % is not kept', plan_at.project_id, plan_at.at USING ERRCODE = 'no_data_found',
                HINT = format('The oldest is version %s, of %s.', public.oldest_version(head), oldest);
        END IF;
    END IF;
    RETURN layercake.plan_at(plan_at.project_id, low);
END $$;
COMMENT ON FUNCTION layercake.plan_at(integer, timestamptz) IS
    'The plan of a project as it was at a time, in the form of the other plan_at. Write at => ''2026-11-23 09:00'' for a time that is a text.';

CREATE OR REPLACE FUNCTION layercake.plan_diff(project_id integer, from_version bigint, to_version bigint DEFAULT NULL)
RETURNS TABLE (kind text, id text, parts text[], before jsonb, after jsonb, versions bigint[], actor_names text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    head public.heads := public.head_of(plan_diff.project_id);
    last_version bigint := coalesce(to_version, head.version);
BEGIN
    PERFORM public.require_version(head, from_version), public.require_version(head, last_version);
    IF from_version > last_version THEN
        RAISE EXCEPTION 'Version % comes after version %', from_version, last_version USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Give the earlier one first.';
    END IF;
    PERFORM public.require_events(head.project_id, from_version, last_version);
    RETURN QUERY
    WITH steps AS (
        SELECT o.*, row_number() OVER (ORDER BY o.version, o.step) AS number
        FROM public.plan_operations(plan_diff.project_id, from_version, last_version) o
    ), ends AS ( -- of each element only the first value before and the last one after are kept in memory
        SELECT s.*, lag(s.number) OVER one IS NULL AS first, lead(s.number) OVER one IS NULL AS last
        FROM steps s WINDOW one AS (PARTITION BY s.element, s.id ORDER BY s.number)
    ), net AS (
        SELECT e.element, e.id, (array_agg(e.before) FILTER (WHERE e.first))[1]::jsonb AS before,
            (array_agg(e.after) FILTER (WHERE e.last))[1]::jsonb AS after,
            coalesce(max(e.number) FILTER (WHERE e.kind IN ('NODE_ADDED', 'EDGE_ADDED')), 0) AS added, -- 0: never, so it kept its place
            array_agg(DISTINCT e.version ORDER BY e.version) AS versions
        FROM ends e GROUP BY e.element, e.id
    ), names AS (
        SELECT n.element, n.id, array_agg(n.name ORDER BY n.number) AS names
        FROM (SELECT s.element, s.id, s.actor_name AS name, min(s.number) AS number FROM steps s GROUP BY 1, 2, 3) n
        GROUP BY n.element, n.id
    ), known AS (
        SELECT * FROM (VALUES ('node', 1, 'type', '{nodeType}'::text[]), ('node', 2, 'position', '{position}'),
            ('node', 3, 'source position', '{sourcePosition}'), ('node', 4, 'target position', '{targetPosition}'),
            ('node', 5, 'metadata', '{metadata}'), ('node', 6, 'config', '{config}'),
            ('edge', 1, 'ends', '{source, target}'), ('edge', 2, 'source handle', '{sourceHandle}'),
            ('edge', 3, 'target handle', '{targetHandle}'), ('edge', 4, 'metadata', '{metadata}'),
            ('plan', 1, 'name', '{name}'), ('plan', 2, 'yaml', '{yamlContent}'), ('plan', 3, 'dependencies', '{dependencies}')
        ) k (element, number, part, fields)
    ), parted AS (
        SELECT n.*, CASE WHEN n.before IS NULL OR n.after IS NULL THEN '{}' ELSE ARRAY(
                SELECT k.part FROM known k
                WHERE k.element = n.element AND EXISTS (SELECT FROM unnest(k.fields) f WHERE n.before -> f IS DISTINCT FROM n.after -> f)
                ORDER BY k.number) || CASE WHEN n.added > 0 THEN '{place}'::text[] END END AS parts
        FROM net n WHERE n.before IS NOT NULL OR n.after IS NOT NULL
    )
    SELECT upper(p.element) || CASE WHEN p.before IS NULL THEN '_ADDED' WHEN p.after IS NULL THEN '_REMOVED' ELSE '_UPDATED' END,
        p.id, p.parts, p.before, p.after, p.versions, n.names
    FROM parted p JOIN names n ON n.element = p.element AND n.id = p.id
    WHERE p.parts <> '{}' OR p.before IS NULL OR p.after IS NULL
    -- Can be done in this order: edges that went, nodes that went, changed, came, edges that changed, came, and the record.
    ORDER BY CASE WHEN p.element = 'plan' THEN 6 WHEN p.after IS NULL THEN CASE p.element WHEN 'edge' THEN 0 ELSE 1 END
            WHEN p.added = 0 THEN CASE p.element WHEN 'node' THEN 2 ELSE 4 END ELSE CASE p.element WHEN 'node' THEN 3 ELSE 5 END END,
        p.added, p.id COLLATE "C";
END $$;
COMMENT ON FUNCTION layercake.plan_diff(integer, bigint, bigint) IS
    'What is different between two versions of a plan, each node and edge once, in an order in which it can be done: kind (as in operations), id, parts that changed (place: it went and came back, so it stands last), values before and after, versions that touched it, who made these. Without the second version: now.';

-- The first of some names, for people.
CREATE OR REPLACE FUNCTION public.first_names(names text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_to_string(names[:10], ', ')
        || CASE WHEN cardinality(names) > 10 THEN format(' and %s more', cardinality(names) - 10) ELSE '' END
$$;
REVOKE ALL ON FUNCTION public.first_names(text[]) FROM PUBLIC;

CREATE OR REPLACE FUNCTION layercake.verify_plan(project_id integer) RETURNS TABLE ("check" text, status text, detail text, advice text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET extra_float_digits = 1 SET jit = off AS $$
DECLARE
    head public.heads := public.head_of(verify_plan.project_id);
    project integer := head.project_id;
    base text;
    base_version bigint;
    events bigint; -- from the base to the head
    sources text[];
    targets text[];
    edges integer := -1;
BEGIN
    RETURN QUERY
    SELECT 'versions', CASE WHEN s.wrong IS NULL THEN 'ok' ELSE 'fail' END,
        coalesce('missing, or too many: ' || public.first_names(s.wrong),
            format('%s events up to version %s', head.version - head.log_floor, head.version)),
        CASE WHEN s.wrong IS NOT NULL THEN 'Nothing is known beyond a gap. Take these rows of the table events from a backup.' END
    FROM (SELECT array_agg(w.name ORDER BY w.version) AS wrong
        FROM (
            SELECT g.version, CASE WHEN g.before = g.version - 2 THEN (g.version - 1)::text
                ELSE format('%s to %s', g.before + 1, g.version - 1) END
            FROM (SELECT e.version, lag(e.version, 1, head.log_floor) OVER (ORDER BY e.version) AS before
                FROM (SELECT v.version FROM public.events v
                    WHERE v.project_id = project AND v.version > head.log_floor AND v.version <= head.version
                    UNION ALL SELECT head.version + 1) e) g
            WHERE g.version > g.before + 1
            UNION ALL
            SELECT e.version, e.version::text FROM public.events e
            WHERE e.project_id = project AND (e.version <= head.log_floor OR e.version > head.version)
        ) w (version, name)) s;

    RETURN QUERY
    SELECT 'head', CASE WHEN s.wrong IS NULL THEN 'ok' ELSE 'fail' END,
        coalesce(s.wrong, format('version %s with hash %s, as its event', head.version, head.hash)),
        CASE WHEN s.wrong IS NOT NULL THEN 'Clients cannot follow this plan. Take the rows of heads and events from a backup.' END
    FROM (SELECT CASE
            WHEN head.hash IS DISTINCT FROM coalesce(e.hash, CASE head.version WHEN head.log_floor THEN head.floor_hash END)
            THEN format('version %s has hash %s, and its event %s', head.version, coalesce(head.hash, 'null'),
                coalesce(e.hash, 'is missing'))
            WHEN e.says <> format('version %s of project %s', head.version, project)
            THEN format('the event of version %s is %s', head.version, e.says) END AS wrong
        FROM (VALUES (1)) one
        LEFT JOIN (SELECT coalesce(v.hash, public.event_hash(v.body::text)) AS hash,
                format('version %s of project %s', v.body ->> 'version', v.body ->> 'projectId') AS says
            FROM public.events v WHERE v.project_id = project AND v.version = head.version) e ON true) s;

    -- Each event names the hash of the one before it, which old ones do not.
    RETURN QUERY
    SELECT 'events', CASE WHEN s.wrong IS NULL THEN 'ok' ELSE 'fail' END,
        coalesce('not as they were written: ' || public.first_names(s.wrong), 'all as they were written'),
        CASE WHEN s.wrong IS NOT NULL THEN 'Something changed the log. Take these rows of the table events from a backup.' END
    FROM (SELECT array_agg(e.version::text ORDER BY e.version) AS wrong
        FROM (SELECT v.version, v.hash, public.event_hash(v.body::text) AS real_hash,
                substring(left(v.body::text, 20) FROM '^{"prev":"([0-9a-f]{8})"') AS prev,
                lag(v.version, 1, head.log_floor) OVER w AS before_version,
                lag(coalesce(v.hash, public.event_hash(v.body::text)), 1, head.floor_hash) OVER w AS before_hash
            FROM public.events v WHERE v.project_id = project WINDOW w AS (ORDER BY v.version)) e
        WHERE e.hash <> e.real_hash OR (e.before_version = e.version - 1 AND e.prev <> e.before_hash)) s;

    SELECT c.version INTO base_version FROM public.checkpoints c
    WHERE c.project_id = project AND c.version BETWEEN head.log_floor AND head.version AND public.intact(c) ORDER BY c.version DESC LIMIT 1;
    base := CASE WHEN base_version IS NOT NULL THEN 'checkpoint' WHEN head.log_floor = 0 THEN 'birth' ELSE 'nothing' END;
    base_version := coalesce(base_version, head.log_floor);
    events := head.version - base_version;
    RETURN QUERY
    WITH said AS (
        SELECT w.element, w.id, w.value::jsonb, w.place FROM public.walk_plan(project, base, base_version, head.version) w
    ), compared AS (
        SELECT element, id, s.value AS said, r.value::jsonb AS found, s.place AS said_place, r.place AS found_place
        FROM said s FULL JOIN public.plan_of_rows(project) r USING (element, id)
    ), wrong AS (
        SELECT concat_ws(' ', c.element, nullif(c.id, ''),
            CASE WHEN c.said IS NULL THEN 'is too much' WHEN c.found IS NULL THEN 'is missing' END) AS name
        FROM compared c WHERE c.said IS DISTINCT FROM c.found AND (c.said IS NOT NULL OR base <> 'nothing')
        UNION ALL
        SELECT format('the order of %ss', c.element)
        FROM compared c WHERE c.said_place IS NOT NULL AND c.found_place IS NOT NULL AND base <> 'nothing' GROUP BY c.element
        HAVING array_agg(c.id ORDER BY c.said_place) <> array_agg(c.id ORDER BY c.found_place)
    )
    SELECT 'rows', CASE WHEN s.names IS NULL THEN 'ok' ELSE 'fail' END,
        coalesce('not what the log says: ' || public.first_names(s.names), CASE base
            WHEN 'checkpoint' THEN format('as the checkpoint at version %s and %s events say', base_version, events)
            WHEN 'birth' THEN format('as %s events say', events)
            ELSE format('as %s events say, which touched %s of them; for the rest there is no checkpoint', events,
                (SELECT count(*) FROM said)) END),
        CASE WHEN s.names IS NOT NULL THEN 'Something wrote them that was no change. layercake.plan_at shows earlier versions.' END
    FROM (SELECT array_agg(w.name ORDER BY w.name) AS names FROM wrong w) s;

    RETURN QUERY
    SELECT 'ordinals', CASE WHEN s.wrong IS NULL THEN 'ok' ELSE 'fail' END,
        coalesce('with their gaps they are no order: ' || s.wrong, 'with their gaps they are an order'),
        CASE WHEN s.wrong IS NOT NULL THEN 'Changes would name wrong places. Number the rows from 0, and empty their list of gaps.' END
    FROM (SELECT string_agg(l.name, ', ' ORDER BY l.name DESC) AS wrong
        FROM public.plans p
        CROSS JOIN LATERAL (VALUES
            ('nodes', p.node_gaps, ARRAY(SELECT n.ordinal FROM public.plan_nodes n WHERE n.project_id = project)),
            ('edges', p.edge_gaps, ARRAY(SELECT e.ordinal FROM public.plan_edges e WHERE e.project_id = project))) l (name, gaps, ordinals)
        CROSS JOIN LATERAL (SELECT coalesce(max(o), -1) AS last FROM unnest(l.ordinals) o) m
        CROSS JOIN LATERAL (SELECT count(*) AS n, count(DISTINCT u.o) AS different, min(u.o) AS least
            FROM (SELECT unnest(l.ordinals) UNION ALL SELECT g FROM unnest(l.gaps) g WHERE g < m.last) u (o)) u -- others do not count
        WHERE p.project_id = project AND (u.n <> m.last + 1 OR u.different <> u.n OR u.least < 0
            OR l.gaps <> ARRAY(SELECT g FROM unnest(l.gaps) g ORDER BY g))) s;

    RETURN QUERY
    SELECT 'edges', CASE WHEN s.wrong IS NULL THEN 'ok' ELSE 'fail' END,
        coalesce('without two ends of their own: ' || public.first_names(s.wrong), format('%s with two ends of their own', s.n)),
        CASE WHEN s.wrong IS NOT NULL THEN 'A node is missing, or other edges connect the same two. Delete these edges.' END
    FROM (SELECT count(*) AS n, array_agg(e.id ORDER BY e.ordinal) FILTER (WHERE e.source = e.target OR e.parallel > 1
            OR NOT EXISTS (SELECT FROM public.plan_nodes n WHERE n.project_id = project AND n.id = e.source)
            OR NOT EXISTS (SELECT FROM public.plan_nodes n WHERE n.project_id = project AND n.id = e.target)) AS wrong
        FROM (SELECT p.id, p.ordinal, p.source, p.target, count(*) OVER (PARTITION BY p.source, p.target) AS parallel
            FROM public.plan_edges p WHERE p.project_id = project) e) s;

    -- Edges that nothing leads to, or that lead nowhere, are on no cycle. What is left without them is cycles, and ways between cycles.
    SELECT array_agg(e.source), array_agg(e.target) INTO sources, targets FROM public.plan_edges e WHERE e.project_id = project;
    WHILE edges <> coalesce(cardinality(sources), 0) LOOP
        edges := coalesce(cardinality(sources), 0);
        SELECT array_agg(l.source), array_agg(l.target) INTO sources, targets FROM unnest(sources, targets) l (source, target)
        WHERE l.source IN (SELECT unnest(targets)) AND l.target IN (SELECT unnest(sources));
    END LOOP;
    RETURN QUERY
    SELECT 'cycles', CASE WHEN s.wrong IS NULL THEN 'ok' ELSE 'fail' END,
        coalesce('edges lead in a circle through ' || public.first_names(s.wrong), 'none'),
        CASE WHEN s.wrong IS NOT NULL THEN 'Nothing can be computed here. Delete one edge of the circle.' END
    FROM (SELECT array_agg(DISTINCT n ORDER BY n) AS wrong FROM unnest(sources) n) s;

    RETURN QUERY
    SELECT 'checkpoints', CASE WHEN s.wrong IS NULL THEN 'ok' ELSE 'warn' END,
        coalesce('damaged: ' || public.first_names(s.wrong), format('%s, as they were written', s.n)),
        CASE WHEN s.wrong IS NOT NULL THEN 'They are not used. Delete these rows of the table checkpoints.' END
    FROM (SELECT count(*) AS n, array_agg(c.version::text ORDER BY c.version)
            FILTER (WHERE NOT public.intact(c) OR c.version > head.version) AS wrong
        FROM public.checkpoints c WHERE c.project_id = project) s;
END $$;
COMMENT ON FUNCTION layercake.verify_plan(integer) IS
    'Is the plan of a project whole? One row a check, with the columns of layercake.health: versions, head, events, rows (against the log), ordinals, edges, cycles, checkpoints. It reads the whole log of the project.';
