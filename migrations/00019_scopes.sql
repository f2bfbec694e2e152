-- +goose Up
-- A session that a replica of the release before makes may do everything, as there.
ALTER TABLE mcp_sessions
    ADD COLUMN scope text NOT NULL DEFAULT '' CONSTRAINT mcp_sessions_scope_length CHECK (char_length(scope) <= 200);
COMMENT ON COLUMN mcp_sessions.scope IS 'What its client may do at most, as the query of an address says it; empty for everything.';

-- +goose Down
ALTER TABLE mcp_sessions DROP COLUMN scope;
