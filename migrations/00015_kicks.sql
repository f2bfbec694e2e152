-- +goose Up
-- A guest has no connection that a replica serves, so every replica acts on the command to kick one. It is of a kind of its own, because
-- replicas of the release before take a kick for one of a connection.
ALTER TABLE commands
    DROP CONSTRAINT commands_kind,
    DROP CONSTRAINT commands_complete,
    ADD CONSTRAINT commands_kind CHECK (kind IN ('kick', 'kick_guest', 'kick_user', 'drain', 'undrain')),
    ADD CONSTRAINT commands_complete CHECK (CASE kind
        WHEN 'kick' THEN connection_id IS NOT NULL AND incarnation IS NOT NULL
        WHEN 'kick_guest' THEN connection_id IS NOT NULL AND incarnation IS NULL
        WHEN 'kick_user' THEN user_id IS NOT NULL AND incarnation IS NULL
        WHEN 'drain' THEN incarnation IS NOT NULL AND spread IS NOT NULL
        ELSE incarnation IS NOT NULL END);
COMMENT ON COLUMN commands.kind IS 'kick, kick_guest, kick_user, drain or undrain.';
COMMENT ON COLUMN commands.connection_id IS 'The connection to close, or the guest to remove; null unless it is a kick of one.';
COMMENT ON COLUMN commands.user_id IS 'Whose connections to close, and guests to remove; of a kick, whose connection or guest it was. Else null.';
COMMENT ON COLUMN commands.connections IS 'Connections that were closed, and guests that were removed; of a drain, connections that were open when it began.';

-- +goose Down
DELETE FROM commands WHERE kind = 'kick_guest'; -- the release before has no place for them
ALTER TABLE commands
    DROP CONSTRAINT commands_kind,
    DROP CONSTRAINT commands_complete,
    ADD CONSTRAINT commands_kind CHECK (kind IN ('kick', 'kick_user', 'drain', 'undrain')),
    ADD CONSTRAINT commands_complete CHECK (CASE kind
        WHEN 'kick' THEN connection_id IS NOT NULL AND incarnation IS NOT NULL
        WHEN 'kick_user' THEN user_id IS NOT NULL AND incarnation IS NULL
        WHEN 'drain' THEN incarnation IS NOT NULL AND spread IS NOT NULL
        ELSE incarnation IS NOT NULL END);
