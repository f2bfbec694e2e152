-- +goose Up
CREATE TABLE events (
    project_id   integer     NOT NULL CONSTRAINT events_project REFERENCES projects ON DELETE CASCADE,
    version      bigint      NOT NULL,
    at           timestamptz NOT NULL,
    op_actor     text        NOT NULL,
    op_id        text        NOT NULL,
    request_hash bytea       NOT NULL,
    body         json        NOT NULL,
    PRIMARY KEY (project_id, version),
    CONSTRAINT events_operation UNIQUE (project_id, op_actor, op_id)
);
COMMENT ON TABLE events IS 'The log of each project: one row a committed change, versions without gaps above heads.log_floor.';
COMMENT ON COLUMN events.project_id IS 'The project.';
COMMENT ON COLUMN events.version IS 'The version of the plan after this event.';
COMMENT ON COLUMN events.at IS 'When it was committed; equal to at in the body.';
COMMENT ON COLUMN events.op_actor IS 'Whose operation ids these are: the actor''s id, empty for anonymous callers, who share theirs.';
COMMENT ON COLUMN events.op_id IS 'The operation id: the same request again gets the same answer.';
COMMENT ON COLUMN events.request_hash IS 'SHA-256 of the request: another request under the same operation id is refused.';
COMMENT ON COLUMN events.body IS 'Who did what, with the values before and after, encoded once. json and not jsonb: lines and feeds carry these bytes.';

UPDATE binaries SET min_binary_schema = 4;

-- +goose Down
DROP TABLE events;
UPDATE binaries SET min_binary_schema = 3;
