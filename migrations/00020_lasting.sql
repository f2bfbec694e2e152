-- +goose Up
ALTER TABLE proposals ADD COLUMN by_lasting_id text;
COMMENT ON COLUMN proposals.by_lasting_id IS
    'Of a proposer that is an agent: its id in all its sessions. Null for others, and where a replica of the release before took the proposal.';

-- +goose Down
ALTER TABLE proposals DROP COLUMN by_lasting_id;
