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
INSERT INTO oidc_logouts (issuer, jti, expires_at) VALUES (@issuer, @jti, @expires_at) ON CONFLICT DO NOTHING;
