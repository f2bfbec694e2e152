-- The key of the wire, and under which process id the server's notifications name the session that reads it. (What a pooler told the
-- driver may be another one.)
-- name: GetWireKey :one
SELECT key, pg_backend_pid()::int AS pid FROM wire_keys;

-- Makes another key. The server makes it up, so that no statement holds it.
-- name: UpsertWireKey :exec
INSERT INTO wire_keys (key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
ON CONFLICT (only_row) DO UPDATE SET key = excluded.key, created_at = now();
