-- Begins a flow, unless its network has too many that have not ended. Of some at once a few more may begin.
-- name: InsertFlow :execrows
INSERT INTO oidc_flows (state_hash, browser_hash, nonce, verifier, return_to, joins, network, expires_at)
SELECT @state_hash, @browser_hash, @nonce, @verifier, @return_to, sqlc.narg(joins), @network::cidr, now() + make_interval(secs => @ttl::float8)
WHERE (SELECT count(*) FROM oidc_flows f WHERE f.network = @network::cidr AND f.expires_at > now()) < @most::int;

-- Takes a flow: whoever has its state in the browser that began it, and only once. The sum keeps the planner on the primary key.
-- name: TakeFlow :one
DELETE FROM oidc_flows WHERE state_hash = @state_hash AND browser_hash = @browser_hash AND expires_at + interval '0' > now()
RETURNING nonce, verifier, return_to, joins;

-- Notes a logout token, unless it was used before.
-- name: InsertLogout :execrows
INSERT INTO oidc_logouts (issuer, jti, expires_at, session, subject, issued_at)
VALUES (@issuer, @jti, @expires_at, sqlc.narg(session), sqlc.narg(subject), @issued_at) ON CONFLICT DO NOTHING;

-- Logouts of an identity provider, and sign-ins by it, come one after the other until the end of the transaction; sign-ins do not wait for
-- each other.
-- name: LockLogouts :exec
SELECT pg_advisory_xact_lock(hashtextextended('logouts of ' || @issuer::text, 0));

-- name: LockSignIns :exec
SELECT pg_advisory_xact_lock_shared(hashtextextended('logouts of ' || @issuer::text, 0));

-- Whether the session of an ID token has ended at its identity provider, or its subject's since it was issued.
-- name: IsLoggedOut :one
SELECT EXISTS (SELECT FROM oidc_logouts l WHERE l.issuer = @issuer AND (
    l.session = sqlc.narg(session) OR
    l.subject = @subject AND l.issued_at >= @issued_at AND (l.session IS NULL OR sqlc.narg(session)::text IS NULL)
));
