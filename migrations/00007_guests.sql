-- +goose Up
-- Who has no connection has a row with an expiry of its own instead of a replica that serves it.
ALTER TABLE presence
    ALTER COLUMN incarnation DROP NOT NULL,
    ADD COLUMN expires_at timestamptz,
    ADD CONSTRAINT presence_served_or_expires CHECK ((incarnation IS NULL) <> (expires_at IS NULL));
CREATE INDEX presence_by_expiry ON presence (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON COLUMN presence.incarnation IS 'The life of a replica that serves it; the row ends with it. Null for a guest, who has no connection.';
COMMENT ON COLUMN presence.expires_at IS 'When a guest counts as gone unless they do something, by the clock of the database. Null for a connection.';

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its views stand on this table; the next migration makes them again
DELETE FROM presence WHERE incarnation IS NULL;
ALTER TABLE presence DROP COLUMN expires_at, ALTER COLUMN incarnation SET NOT NULL;
