-- +goose Up
-- Where a command came from. A function that writes a command runs for many callers, and its arguments are a promise to DBAs; so the page for
-- operators says whose browser it was by a setting of its transaction, and this default reads it. For a session of SQL it is where that is
-- connected from. Any session can set the setting: issued_by is what nobody can make up.
--
-- The default comes second, or the rows that are there would get the address of this migration.
ALTER TABLE commands ADD COLUMN client text CONSTRAINT commands_client_length CHECK (char_length(client) <= 100);
ALTER TABLE commands ALTER COLUMN client
    SET DEFAULT coalesce(left(nullif(current_setting('layercake.client', true), ''), 100), host(inet_client_addr()));
COMMENT ON COLUMN commands.client IS
    'Where it came from: address of the browser in which somebody pressed a button of /ops, or of the session of SQL; null for one on the server itself.';

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its view stands on this table; the next migration makes it again
ALTER TABLE commands DROP COLUMN client;
