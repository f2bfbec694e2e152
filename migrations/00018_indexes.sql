-- +goose NO TRANSACTION
-- +goose Up
-- An index serves only the statements that it was made for, whatever the planner believes about the table. Most indexes begin with the
-- project, so each of them can find one row: the right one reads that row, the others read all rows of the project and throw them away.
-- While a table is small, or has many small projects, they cost the same. The choice is then arbitrary, and a session keeps its plan while
-- a project grows. So all but primary keys have a condition that holds for every row that they are for, and that a statement implies only
-- by comparing the column that the index was made for: what is compared is not null.
--
-- Indexes are built while replicas write, and then take the place of those before. Each table is locked alone and for a moment, so that no
-- two transactions wait for each other. A migration that was interrupted runs again from the start.
DROP INDEX CONCURRENTLY IF EXISTS events_operation_new;
CREATE UNIQUE INDEX CONCURRENTLY events_operation_new ON events (project_id, op_actor, op_id) WHERE op_id IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS events_by_undone_new;
CREATE INDEX CONCURRENTLY events_by_undone_new ON events (project_id, undoes, version) WHERE undoes IS NOT NULL; -- the newest first
-- +goose StatementBegin
DO $$ BEGIN
    ALTER TABLE events DROP CONSTRAINT IF EXISTS events_operation;
    DROP INDEX IF EXISTS events_operation, events_by_undone;
    ALTER INDEX events_operation_new RENAME TO events_operation;
    ALTER INDEX events_by_undone_new RENAME TO events_by_undone;
END $$;
-- +goose StatementEnd

-- The order is unique under a condition, and only at the end of a statement, which may renumber all rows of a project: an exclusion
-- constraint can be both, a unique index cannot.
ALTER TABLE plan_nodes
    DROP CONSTRAINT IF EXISTS plan_nodes_ordinal,
    ADD CONSTRAINT plan_nodes_ordinal CHECK (ordinal >= 0),
    DROP CONSTRAINT plan_nodes_order,
    ADD CONSTRAINT plan_nodes_order EXCLUDE USING btree (project_id WITH =, ordinal WITH =) WHERE (ordinal >= 0) DEFERRABLE;

DROP INDEX CONCURRENTLY IF EXISTS plan_edges_one_a_pair_new;
CREATE UNIQUE INDEX CONCURRENTLY plan_edges_one_a_pair_new ON plan_edges (project_id, source, target) WHERE source IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS plan_edges_by_target_new;
CREATE INDEX CONCURRENTLY plan_edges_by_target_new ON plan_edges (project_id, target) WHERE target IS NOT NULL;
-- +goose StatementBegin
DO $$ BEGIN
    ALTER TABLE plan_edges
        DROP CONSTRAINT IF EXISTS plan_edges_ordinal,
        ADD CONSTRAINT plan_edges_ordinal CHECK (ordinal >= 0),
        DROP CONSTRAINT plan_edges_order,
        ADD CONSTRAINT plan_edges_order EXCLUDE USING btree (project_id WITH =, ordinal WITH =) WHERE (ordinal >= 0) DEFERRABLE,
        DROP CONSTRAINT IF EXISTS plan_edges_one_a_pair;
    DROP INDEX IF EXISTS plan_edges_one_a_pair, plan_edges_by_target;
    ALTER INDEX plan_edges_one_a_pair_new RENAME TO plan_edges_one_a_pair;
    ALTER INDEX plan_edges_by_target_new RENAME TO plan_edges_by_target;
END $$;
-- +goose StatementEnd

-- A primary key has no condition. So that it is not taken for the operations, undos and edges of a project, the planner is told, from the
-- next ANALYZE on, that one project has all rows, and that no two edges leave the same node: in fact projects are many, and all give their
-- nodes the same ids. Among equals, as on empty tables, it takes the index that was made last.
ALTER TABLE events ALTER COLUMN project_id SET (n_distinct = 1);
ALTER TABLE plan_edges
    ALTER COLUMN project_id SET (n_distinct = 1),
    ALTER COLUMN source SET (n_distinct = -1),
    ALTER COLUMN target SET (n_distinct = -1);

-- "expires_at IS NOT NULL" and "left_at IS NULL" are said of single connections, too, and do not imply these conditions.
DROP INDEX CONCURRENTLY IF EXISTS presence_by_expiry_new;
CREATE INDEX CONCURRENTLY presence_by_expiry_new ON presence (expires_at) WHERE expires_at > '-infinity';
-- +goose StatementBegin
DO $$ BEGIN
    DROP INDEX IF EXISTS presence_by_expiry;
    ALTER INDEX presence_by_expiry_new RENAME TO presence_by_expiry;
END $$;
-- +goose StatementEnd

DROP INDEX CONCURRENTLY IF EXISTS presence_log_open_new;
CREATE INDEX CONCURRENTLY presence_log_open_new ON presence_log (incarnation) WHERE reason IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS presence_log_by_project_new;
CREATE INDEX CONCURRENTLY presence_log_by_project_new ON presence_log (project_id, joined_at) WHERE project_id IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS presence_log_by_end_new;
CREATE INDEX CONCURRENTLY presence_log_by_end_new ON presence_log (left_at) WHERE left_at IS NOT NULL;
-- +goose StatementBegin
DO $$ BEGIN
    DROP INDEX IF EXISTS presence_log_open, presence_log_by_project, presence_log_by_end;
    ALTER INDEX presence_log_open_new RENAME TO presence_log_open;
    ALTER INDEX presence_log_by_project_new RENAME TO presence_log_by_project;
    ALTER INDEX presence_log_by_end_new RENAME TO presence_log_by_end;
END $$;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE plan_edges
    ALTER COLUMN project_id RESET (n_distinct),
    ALTER COLUMN source RESET (n_distinct),
    ALTER COLUMN target RESET (n_distinct);
ALTER TABLE events ALTER COLUMN project_id RESET (n_distinct);
DROP INDEX presence_log_open, presence_log_by_project, presence_log_by_end, presence_by_expiry, events_operation, events_by_undone,
    plan_edges_one_a_pair, plan_edges_by_target;
CREATE INDEX presence_log_open ON presence_log (incarnation) WHERE left_at IS NULL;
CREATE INDEX presence_log_by_project ON presence_log (project_id, joined_at);
CREATE INDEX presence_log_by_end ON presence_log (left_at);
CREATE INDEX presence_by_expiry ON presence (expires_at) WHERE expires_at IS NOT NULL;
ALTER TABLE events ADD CONSTRAINT events_operation UNIQUE (project_id, op_actor, op_id);
CREATE INDEX events_by_undone ON events (project_id, undoes) WHERE undoes IS NOT NULL;
ALTER TABLE plan_nodes
    DROP CONSTRAINT plan_nodes_ordinal,
    DROP CONSTRAINT plan_nodes_order,
    ADD CONSTRAINT plan_nodes_order UNIQUE (project_id, ordinal) DEFERRABLE;
ALTER TABLE plan_edges
    DROP CONSTRAINT plan_edges_ordinal,
    DROP CONSTRAINT plan_edges_order,
    ADD CONSTRAINT plan_edges_order UNIQUE (project_id, ordinal) DEFERRABLE,
    ADD CONSTRAINT plan_edges_one_a_pair UNIQUE (project_id, source, target);
CREATE INDEX plan_edges_by_target ON plan_edges (project_id, target);
