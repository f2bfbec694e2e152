-- A build that is too large for one replica is left to another one that has more memory for builds.
-- +goose Up
ALTER TABLE replicas ADD COLUMN build_memory bigint;
COMMENT ON COLUMN replicas.build_memory IS 'Bytes that it has for builds, 0 when it builds nothing; null of a release that does not say.';

-- +goose Down
ALTER TABLE replicas DROP COLUMN build_memory;
