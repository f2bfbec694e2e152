-- +goose NO TRANSACTION
-- +goose Up
-- The indexes of agents' sessions, inboxes and proposals get conditions, as 00018_indexes.sql says: each serves only the statements that it
-- was made for. A look-up of one session ran over all of them by their expiry, and one of an operation id over all proposals of a project.
--
-- Of proposals the primary key is the narrowest index, and so the cheapest in a small table, whatever it has to read later. It cannot have a
-- condition. These indexes have the project as a bigint instead, and so have the statements that they are for: that hides it from the key.
--
-- Replicas of the release before go on. They read the proposals of a project by the primary key, and sort the sessions, which are 20,000 at
-- most, and the inboxes where they look for the oldest.
DROP INDEX CONCURRENTLY IF EXISTS proposals_one_a_revision_new;
CREATE UNIQUE INDEX CONCURRENTLY proposals_one_a_revision_new ON proposals ((project_id::bigint), revision) WHERE id > 0;
DROP INDEX CONCURRENTLY IF EXISTS proposals_one_an_operation_new;
CREATE UNIQUE INDEX CONCURRENTLY proposals_one_an_operation_new ON proposals ((project_id::bigint), op_actor, op_id) WHERE op_id IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS proposals_by_status_new;
CREATE INDEX CONCURRENTLY proposals_by_status_new ON proposals ((project_id::bigint), status, id) WHERE status IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS proposals_open_new;
CREATE INDEX CONCURRENTLY proposals_open_new ON proposals ((project_id::bigint), revision) WHERE status = 'OPEN';
-- +goose StatementBegin
DO $$ BEGIN
    ALTER TABLE proposals
        DROP CONSTRAINT IF EXISTS proposals_one_a_revision,
        DROP CONSTRAINT IF EXISTS proposals_one_an_operation;
    DROP INDEX IF EXISTS proposals_one_a_revision, proposals_one_an_operation, proposals_by_status, proposals_open;
    ALTER INDEX proposals_one_a_revision_new RENAME TO proposals_one_a_revision;
    ALTER INDEX proposals_one_an_operation_new RENAME TO proposals_one_an_operation;
    ALTER INDEX proposals_by_status_new RENAME TO proposals_by_status;
    ALTER INDEX proposals_open_new RENAME TO proposals_open;
END $$;
-- +goose StatementEnd

-- That a session has not expired is said of single sessions, too, and so is the age of a message: they do not imply these conditions.
DROP INDEX CONCURRENTLY IF EXISTS mcp_sessions_by_expiry_new;
CREATE INDEX CONCURRENTLY mcp_sessions_by_expiry_new ON mcp_sessions (expires_at) WHERE expires_at > '-infinity';
-- +goose StatementBegin
DO $$ BEGIN
    DROP INDEX IF EXISTS mcp_sessions_by_expiry;
    ALTER INDEX mcp_sessions_by_expiry_new RENAME TO mcp_sessions_by_expiry;
END $$;
-- +goose StatementEnd

-- Passing messages, which may be many, are no longer read to find the oldest of the others.
DROP INDEX CONCURRENTLY IF EXISTS mcp_inbox_by_age_new;
CREATE INDEX CONCURRENTLY mcp_inbox_by_age_new ON mcp_inbox (passing, at) WHERE at > '-infinity';
-- +goose StatementBegin
DO $$ BEGIN
    DROP INDEX IF EXISTS mcp_inbox_by_age;
    ALTER INDEX mcp_inbox_by_age_new RENAME TO mcp_inbox_by_age;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP INDEX mcp_inbox_by_age, mcp_sessions_by_expiry, proposals_open, proposals_by_status, proposals_one_an_operation, proposals_one_a_revision;
CREATE INDEX mcp_inbox_by_age ON mcp_inbox (at);
CREATE INDEX mcp_sessions_by_expiry ON mcp_sessions (expires_at);
ALTER TABLE proposals
    ADD CONSTRAINT proposals_one_an_operation UNIQUE (project_id, op_actor, op_id),
    ADD CONSTRAINT proposals_one_a_revision UNIQUE (project_id, revision);
CREATE INDEX proposals_by_status ON proposals (project_id, status, id);
CREATE INDEX proposals_open ON proposals (project_id, revision) WHERE status = 'OPEN';
