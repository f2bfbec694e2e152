-- +goose Up
-- No foreign key to projects: an operation is remembered longer than the project that it created.
CREATE TABLE project_operations (
    op_actor     text        NOT NULL,
    op_id        text        NOT NULL CONSTRAINT project_operations_id_length CHECK (char_length(op_id) BETWEEN 1 AND 200),
    request_hash bytea       NOT NULL CONSTRAINT project_operations_hash_length CHECK (octet_length(request_hash) = 32),
    project_id   integer     NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT project_operations_pkey PRIMARY KEY (op_actor, op_id)
);
CREATE INDEX project_operations_by_age ON project_operations (at);
COMMENT ON TABLE project_operations IS 'The operation ids under which projects were created: the same request again gets the same project. Kept as long as events.';
COMMENT ON COLUMN project_operations.op_actor IS 'Whose operation ids these are, as in events.';
COMMENT ON COLUMN project_operations.op_id IS 'The operation id that the client gave.';
COMMENT ON COLUMN project_operations.request_hash IS 'SHA-256 of the request: another request under the same operation id is refused.';
COMMENT ON COLUMN project_operations.project_id IS 'The project that was created; it may have been deleted since.';
COMMENT ON COLUMN project_operations.at IS 'When it was created.';
REVOKE ALL ON project_operations FROM PUBLIC;

COMMENT ON COLUMN events.op_actor IS 'Whose operation ids these are: the actor''s id, empty for callers without a credential (anonymous, agents), who share theirs.';

-- +goose Down
DROP TABLE project_operations;
COMMENT ON COLUMN events.op_actor IS 'Whose operation ids these are: the actor''s id, empty for anonymous callers, who share theirs.';
