-- What has ended of what a replica holds open, in one statement: sessions, tokens, and the roles of accounts in projects. Idle is in seconds, 0
-- for any.
-- name: ListEnded :many
SELECT 'session'::text AS kind, h.id::int AS id, 0::int AS project_id FROM unnest(@sessions::int[]) h (id)
WHERE NOT EXISTS (SELECT FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = h.id AND s.ended_at IS NULL AND s.expires_at > now()
    AND u.disabled_at IS NULL)
UNION ALL
SELECT 'token', h.id, 0 FROM unnest(@tokens::int[]) h (id)
WHERE NOT EXISTS (SELECT FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.id = h.id AND t.ended_at IS NULL AND t.expires_at > now()
    AND u.disabled_at IS NULL)
UNION ALL
SELECT 'access', h.id, 0 FROM unnest(@accounts::int[]) h (id)
WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = h.id AND u.disabled_at IS NULL)
UNION ALL
SELECT 'role', h.user_id, h.project_id FROM (
    SELECT unnest(@role_users::int[])::int AS user_id, unnest(@role_projects::int[])::int AS project_id
) h
WHERE NOT EXISTS (SELECT FROM collaborators c WHERE c.user_id = h.user_id AND c.project_id = h.project_id AND c.status = 'accepted' AND c.active);
