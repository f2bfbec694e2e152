CREATE OR REPLACE VIEW layercake.mcp_sessions AS
SELECT left(s.id::text, 8) AS session, coalesce(nullif(s.client_title, ''), s.client_name) AS client, s.client_version AS version,
    s.protocol_version AS protocol, s.transport, s.agent_name AS agent, s.created_at, s.seen_at,
    CASE WHEN r.expires_at > statement_timestamp() THEN 1 ELSE 0 END AS streams, s.agent_id, s.scope
FROM public.mcp_sessions s
LEFT JOIN public.replicas r ON r.incarnation = s.stream_replica
WHERE s.expires_at > statement_timestamp();
COMMENT ON VIEW layercake.mcp_sessions IS 'Sessions of agents that speak MCP. Agents of the protocol of 2026 have none.';
COMMENT ON COLUMN layercake.mcp_sessions.session IS 'The first 8 characters of its id. The whole id would let whoever reads it speak as the agent.';
COMMENT ON COLUMN layercake.mcp_sessions.client IS 'The client program, as it calls itself.';
COMMENT ON COLUMN layercake.mcp_sessions.version IS 'The version of that program.';
COMMENT ON COLUMN layercake.mcp_sessions.protocol IS 'The version of the protocol; empty while the client has not said one.';
COMMENT ON COLUMN layercake.mcp_sessions.transport IS 'http: requests to /mcp; sse: a stream of /mcp/sse.';
COMMENT ON COLUMN layercake.mcp_sessions.agent IS 'How people call the agent.';
COMMENT ON COLUMN layercake.mcp_sessions.created_at IS 'When the session began.';
COMMENT ON COLUMN layercake.mcp_sessions.seen_at IS 'When its client last sent something, up to about a minute old. It ends 24 h after that.';
COMMENT ON COLUMN layercake.mcp_sessions.streams IS '1 while a live replica has its stream open, else 0.';
COMMENT ON COLUMN layercake.mcp_sessions.agent_id IS 'The agent, as plan_history.actor_id has it.';
COMMENT ON COLUMN layercake.mcp_sessions.scope IS 'What its client may do at most, such as read_only=true; empty for everything.';
