-- +goose Up
-- The limits of guests are exact because the joins of one maker come one after the other: each writes the maker into this table, which
-- makes others of the same maker wait for the end of its transaction, and removes it again. So no row is ever committed. Other roles may
-- not write here, unlike with advisory locks.
CREATE UNLOGGED TABLE guest_makers (
    maker text PRIMARY KEY
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);
COMMENT ON TABLE guest_makers IS 'Locks: who makes a guest now. A row lives as long as its transaction, so nobody else sees it.';
COMMENT ON COLUMN guest_makers.maker IS 'caller or network, and which.';
REVOKE ALL ON guest_makers FROM PUBLIC;

-- +goose Down
DROP TABLE guest_makers;
