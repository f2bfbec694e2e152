-- What has ended of what a replica holds open, in one statement: sessions, also those that were not used for so many seconds (0 for any),
-- tokens (by the first bytes of the hash of their secret, too, which is another one after a rotation), and the roles of accounts in projects. Each is looked up by itself, whatever the planner believes about their number.
-- name: ListEnded :many
SELECT 'session'::text AS kind, h.id::int AS id, 0::int AS project_id, ''::bytea AS secret FROM unnest(@sessions::int[]) h (id)
WHERE NOT coalesce((SELECT s.ended_at IS NULL AND s.expires_at > now() AND (@idle::float8 = 0 OR s.last_used_at > now() - make_interval(secs => @idle))
        AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = s.user_id)
    FROM sessions s WHERE s.id = h.id), false)
UNION ALL
SELECT 'token', h.id, 0, h.secret FROM (SELECT unnest(@tokens::int[])::int AS id, unnest(@secrets::bytea[])::bytea AS secret) h
WHERE NOT coalesce((SELECT t.ended_at IS NULL AND t.expires_at > now()
        AND (substring(t.secret_hash FROM 1 FOR 8) = h.secret OR substring(t.former_hash FROM 1 FOR 8) = h.secret AND t.former_until > now())
        AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = t.user_id)
    FROM tokens t WHERE t.id = h.id), false)
UNION ALL
SELECT 'access', h.id, 0, '' FROM unnest(@accounts::int[]) h (id)
WHERE NOT coalesce((SELECT u.disabled_at IS NULL FROM users u WHERE u.id = h.id), false)
UNION ALL
SELECT 'role', h.user_id, h.project_id, '' FROM (
    SELECT unnest(@role_users::int[])::int AS user_id, unnest(@role_projects::int[])::int AS project_id
) h
WHERE NOT coalesce((SELECT c.status = 'accepted' AND c.active FROM collaborators c
    WHERE c.project_id = h.project_id AND c.user_id = h.user_id), false);
