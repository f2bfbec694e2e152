-- +goose Up
-- Replicas of the release before store all messages as those that wait for a minute.
ALTER TABLE mcp_inbox ADD COLUMN passing boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN mcp_inbox.passing IS 'Whether it is of no use a moment later, such as the cancellation of a call, and so takes no room of others.';

-- +goose Down
DELETE FROM mcp_inbox WHERE passing; -- the release before would count them
ALTER TABLE mcp_inbox DROP COLUMN passing;
