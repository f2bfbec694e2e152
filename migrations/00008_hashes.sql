-- +goose Up
-- A version is a number, and after a restore the same numbers come again for other events. A hash over an event tells them apart.
-- Hashes are the first 4 bytes of a SHA-256, in hex.

-- +goose StatementBegin
CREATE FUNCTION event_hash(body text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(substr(sha256(convert_to(body, 'UTF8')), 1, 4), 'hex')
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION event_hash IS 'The hash of an event''s body, which holds its time.';
REVOKE ALL ON FUNCTION event_hash FROM PUBLIC;

-- NOT VALID saves looking through all events: older ones have none.
ALTER TABLE events ADD COLUMN hash text;
ALTER TABLE events ADD CONSTRAINT events_hash_form CHECK (hash ~ '^[0-9a-f]{8}$') NOT VALID;
COMMENT ON COLUMN events.hash IS 'Of the body; null for events that are older than this column.';

ALTER TABLE heads
    ADD COLUMN hash text CONSTRAINT heads_hash_form CHECK (hash ~ '^[0-9a-f]{8}$'),
    ADD COLUMN floor_hash text CONSTRAINT heads_floor_hash_form CHECK (floor_hash ~ '^[0-9a-f]{8}$');
COMMENT ON COLUMN heads.hash IS 'Of the newest event; at version 0 of the time when the project was created.';
COMMENT ON COLUMN heads.floor_hash IS 'Of the event at log_floor, which may be gone; null where that is not known.';

-- +goose StatementBegin
CREATE FUNCTION hash_birth() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
    SELECT event_hash(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')) INTO NEW.hash FROM projects WHERE id = NEW.project_id;
    NEW.floor_hash := NEW.hash;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION hash_birth IS 'Gives a new head the hash of version 0.';
CREATE TRIGGER heads_birth BEFORE INSERT ON heads FOR EACH ROW
    WHEN (NEW.hash IS NULL AND NEW.version = 0) EXECUTE FUNCTION hash_birth();

UPDATE heads h SET hash = event_hash(e.body::text) FROM events e WHERE e.project_id = h.project_id AND e.version = h.version;
UPDATE heads h SET floor_hash = event_hash(to_char(p.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'))
FROM projects p WHERE p.id = h.project_id AND h.log_floor = 0;
UPDATE heads SET hash = floor_hash WHERE version = 0;

-- Replicas of the release before this one run beside newer ones. They know no hashes, so the next two triggers do what they leave
-- out. They can go once such a binary must not start any more.

-- +goose StatementBegin
CREATE FUNCTION hash_event() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
    NEW.hash := event_hash(NEW.body::text);
    UPDATE heads SET hash = NEW.hash WHERE project_id = NEW.project_id AND version <= NEW.version;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION hash_event IS 'Hashes an event that an older binary writes.';
CREATE TRIGGER events_hash BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.hash IS NULL) EXECUTE FUNCTION hash_event();

-- +goose StatementBegin
CREATE FUNCTION forget_floor_hash() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
    NEW.floor_hash := NULL;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION forget_floor_hash IS 'Forgets the hash at a floor that an older binary moved.';
CREATE TRIGGER heads_floor BEFORE UPDATE OF log_floor ON heads FOR EACH ROW
    WHEN (NEW.log_floor <> OLD.log_floor AND NEW.floor_hash IS NOT DISTINCT FROM OLD.floor_hash) EXECUTE FUNCTION forget_floor_hash();

ALTER TABLE replicas ADD COLUMN wire integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN replicas.wire IS 'Which formats its binary understands. The least among the living decides which are written.';

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its views stand on these tables; the next migration makes them again
ALTER TABLE replicas DROP COLUMN wire;
DROP TRIGGER heads_floor ON heads;
DROP TRIGGER events_hash ON events;
DROP TRIGGER heads_birth ON heads;
DROP FUNCTION forget_floor_hash;
DROP FUNCTION hash_event;
DROP FUNCTION hash_birth;
ALTER TABLE heads DROP COLUMN hash, DROP COLUMN floor_hash;
ALTER TABLE events DROP COLUMN hash;
DROP FUNCTION event_hash;
