-- What DBAs may rely on. Everything here is applied again after the migrations, in one transaction, when it changed: statements
-- replace what is there. Columns are only added, at the end, in a release with a migration of its own.
CREATE SCHEMA IF NOT EXISTS layercake;
REVOKE ALL ON SCHEMA layercake FROM PUBLIC;

CREATE OR REPLACE VIEW layercake.replicas AS
SELECT r.incarnation, r.expires_at > now() AS alive, r.version, r.address, r.started_at, r.renewed_at, r.connections, r.projects,
    r.pool_in_use, r.heap_bytes
FROM public.replicas r;
COMMENT ON VIEW layercake.replicas IS 'The deployment: one row a life of a replica, with its figures as of its last renewal.';
COMMENT ON COLUMN layercake.replicas.incarnation IS 'A life of a replica: a new id each time that it registers.';
COMMENT ON COLUMN layercake.replicas.alive IS 'False once its lease has expired; then it is about to be removed.';
COMMENT ON COLUMN layercake.replicas.version IS 'The version of its binary.';
COMMENT ON COLUMN layercake.replicas.address IS 'Where it listens for clients.';
COMMENT ON COLUMN layercake.replicas.started_at IS 'When this life began.';
COMMENT ON COLUMN layercake.replicas.renewed_at IS 'When it last said that it lives; every second.';
COMMENT ON COLUMN layercake.replicas.connections IS 'People''s connections that it serves.';
COMMENT ON COLUMN layercake.replicas.projects IS 'Projects that are open on it.';
COMMENT ON COLUMN layercake.replicas.pool_in_use IS 'Connections to the database that its requests use.';
COMMENT ON COLUMN layercake.replicas.heap_bytes IS 'Memory that its objects take.';

CREATE OR REPLACE VIEW layercake.who AS
SELECT p.project_id, j.name AS project_name, p.user_id, p.user_name, p.is_agent, p.document_id, p.document_type, p.position,
    p.selected_node_id, p.joined_at, p.active_at, p.connection_id, p.incarnation, r.address AS replica_address
FROM public.presence p
JOIN public.replicas r ON r.incarnation = p.incarnation AND r.expires_at > now()
LEFT JOIN public.projects j ON j.id = p.project_id;
COMMENT ON VIEW layercake.who IS 'Who is in which project now, and where: one row a connection. People on a replica that died are not here.';
COMMENT ON COLUMN layercake.who.project_id IS 'The project.';
COMMENT ON COLUMN layercake.who.project_name IS 'Its name; null when it was just deleted.';
COMMENT ON COLUMN layercake.who.user_id IS 'Who the client says it is; several connections may have the same.';
COMMENT ON COLUMN layercake.who.user_name IS 'How people call them.';
COMMENT ON COLUMN layercake.who.is_agent IS 'True for a program, false for a person.';
COMMENT ON COLUMN layercake.who.document_id IS 'The document that the connection is in; null while in none.';
COMMENT ON COLUMN layercake.who.document_type IS 'canvas, spreadsheet, 3d, timeline or code_editor.';
COMMENT ON COLUMN layercake.who.position IS 'Where its cursor is, up to 15 s old.';
COMMENT ON COLUMN layercake.who.selected_node_id IS 'What it has selected, as old as the position.';
COMMENT ON COLUMN layercake.who.joined_at IS 'When it joined.';
COMMENT ON COLUMN layercake.who.active_at IS 'When it was last heard of, up to a minute old.';
COMMENT ON COLUMN layercake.who.connection_id IS 'The connection.';
COMMENT ON COLUMN layercake.who.incarnation IS 'The life of the replica that serves it.';
COMMENT ON COLUMN layercake.who.replica_address IS 'Where that replica listens.';

CREATE OR REPLACE FUNCTION layercake.grant_reader(role regrole) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA layercake TO %s', role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA layercake TO %s', role);
END $$;
REVOKE ALL ON FUNCTION layercake.grant_reader(regrole) FROM PUBLIC;
COMMENT ON FUNCTION layercake.grant_reader(regrole) IS 'Lets a role read all views of this schema, and nothing else. For the owner; call it again after an upgrade.';
