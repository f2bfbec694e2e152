-- +goose Up
ALTER TABLE proposals ADD COLUMN by_lasting_id text;
COMMENT ON COLUMN proposals.by_lasting_id IS
    'Of a proposer that is an agent: its id in all its sessions. Null for others, and where a replica of the release before took the proposal.';
COMMENT ON COLUMN project_operations.op_actor IS
    'Whose operation ids these are: the actor''s id, of agents the one that they have in all their sessions; empty for anonymous callers.';

-- +goose Down
COMMENT ON COLUMN project_operations.op_actor IS 'Whose operation ids these are, as in events.';
ALTER TABLE proposals DROP COLUMN by_lasting_id;
