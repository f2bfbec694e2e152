-- +goose Up
CREATE TABLE binaries (
    only_row          boolean PRIMARY KEY DEFAULT true CONSTRAINT binaries_one_row CHECK (only_row),
    min_binary_schema bigint  NOT NULL
);
COMMENT ON TABLE binaries IS 'Which binaries may run on this schema. One row.';
COMMENT ON COLUMN binaries.only_row IS 'Always true: keeps the table at one row.';
COMMENT ON COLUMN binaries.min_binary_schema IS 'A binary whose newest migration is older than this must not start.';

INSERT INTO binaries (min_binary_schema) VALUES (1);

-- +goose Down
DROP TABLE binaries;
