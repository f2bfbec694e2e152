-- +goose Up
-- A column without a value is added at once, and a partial index of nothing takes one look through the table.
ALTER TABLE events ADD COLUMN undoes bigint CONSTRAINT events_undoes_earlier CHECK (undoes > 0 AND undoes < version);
CREATE INDEX events_by_undone ON events (project_id, undoes) WHERE undoes IS NOT NULL;
COMMENT ON COLUMN events.undoes IS 'The version that this event takes back; null for one that takes nothing back. Equal to undoes in the body.';

CREATE TABLE checkpoints (
    project_id integer     NOT NULL CONSTRAINT checkpoints_project REFERENCES projects ON DELETE CASCADE,
    version    bigint      NOT NULL,
    body       json        NOT NULL,
    sum        bytea       NOT NULL CONSTRAINT checkpoints_sum_length CHECK (octet_length(sum) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, version)
);
COMMENT ON TABLE checkpoints IS 'Whole plans as they were, each 5,000 versions: any other version is a few events from one of them.';
COMMENT ON COLUMN checkpoints.project_id IS 'The project.';
COMMENT ON COLUMN checkpoints.version IS 'The version of the plan.';
COMMENT ON COLUMN checkpoints.body IS 'An object: plan (the record, as events show it), nodes and edges (in their order, as events show them).';
COMMENT ON COLUMN checkpoints.sum IS 'SHA-256 of the body: a damaged checkpoint is not used.';
COMMENT ON COLUMN checkpoints.created_at IS 'When it was written.';
REVOKE ALL ON checkpoints FROM PUBLIC;

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its views stand on this table; the next migration makes them again
DROP FUNCTION IF EXISTS past_plan(heads, bigint), require_version(heads, bigint), oldest_version(heads), head_of(integer), intact(checkpoints);
DROP TABLE checkpoints;
ALTER TABLE events DROP COLUMN undoes;
