-- +goose NO TRANSACTION
-- +goose Up
-- Whether an event after a version edits is asked with each change that names the version it expects. The condition keeps the index from
-- serving statements that it was not made for, as 00018_indexes.sql says.
DROP INDEX CONCURRENTLY IF EXISTS events_that_edit;
CREATE INDEX CONCURRENTLY events_that_edit ON events ((project_id::bigint), version) WHERE edits;

-- +goose Down
DROP INDEX events_that_edit;
