CREATE OR REPLACE VIEW layercake.builds AS
SELECT b.project_id, p.name AS project, b.node_id, b.label, b.graph_id,
    CASE WHEN b.finished_at IS NOT NULL THEN b.state WHEN k.graph_id IS NULL THEN 'pending' ELSE 'processing' END AS state,
    k.phase, k.done, k.total, b.attempt, coalesce(k.incarnation, b.replica)::text AS replica, b.requested_by, b.requested_at, b.started_at,
    b.finished_at, round(extract(epoch FROM coalesce(b.finished_at, statement_timestamp()) - b.started_at), 3) AS seconds, b.nodes, b.edges,
    b.reason, b.error
FROM public.builds b
JOIN public.projects p ON p.id = b.project_id
LEFT JOIN public.claims k ON k.graph_id = b.graph_id AND b.finished_at IS NULL
WHERE b.finished_at IS NULL OR b.finished_at > statement_timestamp() - interval '30 days';
COMMENT ON VIEW layercake.builds IS 'What is built now, waits to be, or was within 30 days: one row for all who asked before it began.';
COMMENT ON COLUMN layercake.builds.project_id IS 'The project.';
COMMENT ON COLUMN layercake.builds.project IS 'Its name.';
COMMENT ON COLUMN layercake.builds.node_id IS 'The node of the plan.';
COMMENT ON COLUMN layercake.builds.label IS 'Its label when it was asked for.';
COMMENT ON COLUMN layercake.builds.graph_id IS 'The graph that it builds.';
COMMENT ON COLUMN layercake.builds.state IS 'pending: it waits; processing: a replica has it; completed, error or cancelled.';
COMMENT ON COLUMN layercake.builds.phase IS 'reading, computing or writing; null unless a replica has it.';
COMMENT ON COLUMN layercake.builds.done IS 'Elements of the phase that are done.';
COMMENT ON COLUMN layercake.builds.total IS 'Elements of the phase; null when unknown.';
COMMENT ON COLUMN layercake.builds.attempt IS 'How often it was begun. After the third failure of a machine it is given up.';
COMMENT ON COLUMN layercake.builds.replica IS 'The replica that has it, or had it last.';
COMMENT ON COLUMN layercake.builds.requested_by IS 'Name of who asked first.';
COMMENT ON COLUMN layercake.builds.requested_at IS 'When it was first asked for.';
COMMENT ON COLUMN layercake.builds.started_at IS 'When the last attempt began; null before the first.';
COMMENT ON COLUMN layercake.builds.finished_at IS 'When it ended; null while it is under way or waits.';
COMMENT ON COLUMN layercake.builds.seconds IS 'How long the last attempt took, or takes until now.';
COMMENT ON COLUMN layercake.builds.nodes IS 'Nodes of the result.';
COMMENT ON COLUMN layercake.builds.edges IS 'Edges of the result.';
COMMENT ON COLUMN layercake.builds.reason IS 'Why it was stale.';
COMMENT ON COLUMN layercake.builds.error IS 'Why the last attempt failed; null when it did not.';

CREATE OR REPLACE VIEW layercake.data_sources AS
SELECT d.id, d.project_id, p.name AS project, d.name, d.filename, d.format, d.kind, d.status, d.row_count AS rows, d.size AS bytes,
    d.problem_count AS problems, d.sha256, d.processed_at, ARRAY(
        SELECT n.id FROM public.plan_nodes n
        WHERE n.project_id = d.project_id AND n.node_type = 'DataSourceNode' AND n.config ->> 'dataSourceId' = d.id::text ORDER BY n.ordinal
    ) AS used_by
FROM public.data_sources d
JOIN public.projects p ON p.id = d.project_id;
COMMENT ON VIEW layercake.data_sources IS 'Uploaded files, and what they hold.';
COMMENT ON COLUMN layercake.data_sources.id IS 'The data source.';
COMMENT ON COLUMN layercake.data_sources.project_id IS 'The project.';
COMMENT ON COLUMN layercake.data_sources.project IS 'Its name.';
COMMENT ON COLUMN layercake.data_sources.name IS 'What people call it.';
COMMENT ON COLUMN layercake.data_sources.filename IS 'Name of the file as it was uploaded.';
COMMENT ON COLUMN layercake.data_sources.format IS 'csv, tsv or json.';
COMMENT ON COLUMN layercake.data_sources.kind IS 'nodes, edges, layers or graph.';
COMMENT ON COLUMN layercake.data_sources.status IS 'active when it can be used, error when it cannot.';
COMMENT ON COLUMN layercake.data_sources.rows IS 'Rows of the table, or elements of the graph.';
COMMENT ON COLUMN layercake.data_sources.bytes IS 'Bytes of the file.';
COMMENT ON COLUMN layercake.data_sources.problems IS 'Problems of its rows.';
COMMENT ON COLUMN layercake.data_sources.sha256 IS 'SHA-256 of the file, as sha256sum says it.';
COMMENT ON COLUMN layercake.data_sources.processed_at IS 'When it was last read successfully.';
COMMENT ON COLUMN layercake.data_sources.used_by IS 'Nodes of the plan that name it.';

CREATE OR REPLACE FUNCTION layercake.cancel_build(project integer, node text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM public.builds b WHERE b.project_id = project AND b.node_id = node AND b.finished_at IS NULL) THEN
        RAISE EXCEPTION 'Nothing is built for node "%" of project %', coalesce(node, 'null'), coalesce(project::text, 'null')
            USING ERRCODE = 'no_data_found', HINT = 'It may have ended. Those that there are: SELECT * FROM layercake.builds WHERE finished_at IS NULL;';
    END IF;
    INSERT INTO public.commands (kind, project_id, node_id) VALUES ('cancel_build', project, node) RETURNING id INTO command;
    PERFORM public.tell_replicas('cancel_build');
    RETURN command;
END $$;
REVOKE ALL ON FUNCTION layercake.cancel_build(integer, text) FROM PUBLIC;
COMMENT ON FUNCTION layercake.cancel_build(integer, text) IS
    'Ends the build of a node, or takes it out of the queue. What was built before stays. Returns the id in layercake.commands.';
