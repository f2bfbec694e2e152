-- +goose Up
-- What only the role of the replicas may read and lock, unlike advisory locks and channels, which every role of the database shares.
CREATE TABLE cleanups (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT cleanups_one_row CHECK (only_row)
);
COMMENT ON TABLE cleanups IS 'One row, which the replica locks that removes what is old: one at a time does.';
COMMENT ON COLUMN cleanups.only_row IS 'Always true: keeps the table at one row.';
REVOKE ALL ON cleanups FROM PUBLIC;
INSERT INTO cleanups DEFAULT VALUES;

-- Each UUID has 122 random bits.
CREATE TABLE wire_keys (
    only_row   boolean     PRIMARY KEY DEFAULT true CONSTRAINT wire_keys_one_row CHECK (only_row),
    key        bytea       NOT NULL CONSTRAINT wire_keys_length CHECK (octet_length(key) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE wire_keys IS 'One row: the key of what replicas tell each other. Whoever can read it hears all of that, and can speak as a replica.';
COMMENT ON COLUMN wire_keys.only_row IS 'Always true: keeps the table at one row.';
COMMENT ON COLUMN wire_keys.key IS 'The key for AES-256-GCM. `layercake migrate --new-wire-key` makes another.';
COMMENT ON COLUMN wire_keys.created_at IS 'When the key was made.';
REVOKE ALL ON wire_keys FROM PUBLIC;
INSERT INTO wire_keys (key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- +goose Down
DROP TABLE wire_keys;
DROP TABLE cleanups;
