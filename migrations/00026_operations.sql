-- +goose Up
-- No foreign key to projects: who repeats a deletion is answered also when the project went since.
CREATE TABLE operations (
    op_actor     text        NOT NULL,
    op_id        text        NOT NULL CONSTRAINT operations_id_length CHECK (char_length(op_id) BETWEEN 1 AND 200),
    project_id   integer     NOT NULL,
    action       text        NOT NULL,
    request_hash bytea       NOT NULL CONSTRAINT operations_hash_length CHECK (octet_length(request_hash) = 32),
    at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT operations_pkey PRIMARY KEY (op_actor, op_id, project_id)
);
CREATE INDEX operations_by_age ON operations (at);
COMMENT ON TABLE operations IS 'The operation ids of changes that no event need carry, or that remove what says which project they are of: a repeat finds them here. Kept as long as events.';
COMMENT ON COLUMN operations.op_actor IS 'Whose operation ids these are, as in events.';
COMMENT ON COLUMN operations.op_id IS 'The operation id that the client gave.';
COMMENT ON COLUMN operations.project_id IS 'The project that was changed; it may be gone.';
COMMENT ON COLUMN operations.action IS 'What was done to what, such as delete graph 7.';
COMMENT ON COLUMN operations.request_hash IS 'SHA-256 of the request: another request under the same operation id is refused.';
COMMENT ON COLUMN operations.at IS 'When it was done.';
REVOKE ALL ON operations FROM PUBLIC;

-- +goose Down
DROP TABLE operations;
