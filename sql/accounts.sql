-- A session by the hash of its secret, as the clock of the database sees it. Idle is in seconds, 0 for any.
-- name: GetSessionBySecret :one
SELECT s.id, s.user_id, s.expires_at, u.username, u.display_name, u.avatar_color, s.issuer, s.proved_at,
    (s.ended_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL
        AND (@idle::float8 = 0 OR s.last_used_at > now() - make_interval(secs => @idle)))::boolean AS alive,
    (s.last_used_at < now() - interval '1 minute')::boolean AS stale
FROM sessions s, users u
WHERE s.id = (SELECT x.id FROM sessions x WHERE x.secret_hash = @secret_hash) AND u.id = (SELECT x.user_id FROM sessions x WHERE x.secret_hash = @secret_hash);

-- A token by the hash of its secret, or of the secret before the last rotation, which ends an hour after that.
-- name: GetTokenBySecret :one
SELECT t.id, t.user_id, t.name, t.scopes, t.project_id,
    (CASE WHEN t.secret_hash = @secret_hash THEN t.expires_at ELSE least(t.expires_at, t.former_until) END)::timestamptz AS expires_at, u.username, u.display_name, u.avatar_color,
    (t.ended_at IS NULL AND t.expires_at > now() AND u.disabled_at IS NULL
        AND (t.secret_hash = @secret_hash OR t.former_until > now()))::boolean AS alive,
    (t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute')::boolean AS stale
FROM tokens t, users u
WHERE t.id = (SELECT x.id FROM tokens x WHERE x.secret_hash = @secret_hash UNION ALL SELECT x.id FROM tokens x WHERE x.former_hash = @secret_hash LIMIT 1)
    AND u.id = (SELECT x.user_id FROM tokens x WHERE x.secret_hash = @secret_hash UNION ALL
        SELECT x.user_id FROM tokens x WHERE x.former_hash = @secret_hash LIMIT 1);

-- name: TouchSession :exec
UPDATE sessions SET last_used_at = now() WHERE id = @id AND last_used_at < now() - interval '1 minute';

-- name: TouchToken :exec
UPDATE tokens SET last_used_at = now() WHERE id = @id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');

-- Attempts of one account, and of one network, take turns until the end of the transaction: those that are under way are counted.
-- name: LockAttempts :exec
SELECT pg_advisory_xact_lock(hashtextextended('attempts of ' || @account::text, 0)),
    pg_advisory_xact_lock(hashtextextended('attempts from ' || @network::text, 0));

-- The failures of a quarter of an hour, with when enough of them are over, and whether somebody signed in from that network within 30 days.
-- name: CountAttempts :one
SELECT count(*) FILTER (WHERE a.account = @account AND a.network = @network::cidr)::int AS pair,
    count(*) FILTER (WHERE a.network = @network::cidr)::int AS of_network,
    count(*) FILTER (WHERE a.account = @account)::int AS of_account,
    coalesce(extract(epoch FROM min(a.at) + interval '15 minutes' - now()) * 1000, 0)::bigint AS over_ms,
    EXISTS (SELECT FROM login_attempts k WHERE k.account = @account AND k.network = @network::cidr AND NOT k.failed
        AND k.at > now() - interval '30 days')::boolean AS known
FROM login_attempts a
WHERE a.failed AND a.at > now() - interval '15 minutes' AND (a.account = @account OR a.network = @network::cidr);

-- An attempt counts as a failure until it succeeds.
-- name: InsertAttempt :one
INSERT INTO login_attempts (account, network, failed) VALUES (@account, @network::cidr, true) RETURNING id;

-- Somebody signed in from a network, by whatever: then all names of the account are known there. Once a day is enough.
-- name: NoteNetwork :exec
INSERT INTO login_attempts (account, network, failed)
SELECT n.account, @network::cidr, false FROM unnest(@accounts::text[]) n (account)
WHERE NOT EXISTS (SELECT FROM login_attempts a
    WHERE a.account = n.account AND a.network = @network::cidr AND NOT a.failed AND a.at > now() - interval '1 day');

-- An attempt for which nothing was compared says nothing.
-- name: DeleteAttempt :exec
DELETE FROM login_attempts WHERE id = @id;

-- name: AttemptSucceeded :exec
UPDATE login_attempts SET failed = false WHERE id = @id;

-- name: GetUser :one
SELECT * FROM users WHERE id = @id;

-- name: GetUserByName :one
SELECT * FROM users WHERE lower(username) = lower(@username::text);

-- name: GetUserByEmail :one
SELECT * FROM users WHERE lower(email) = lower(@email::text);

-- name: ListUsersByID :many
SELECT * FROM users WHERE id = ANY (@ids::int[]);

-- name: ListUsers :many
SELECT u.*, (SELECT count(*) FROM sessions s WHERE s.user_id = u.id AND s.ended_at IS NULL AND s.expires_at > now())::int AS sessions,
    (SELECT count(*) FROM tokens t WHERE t.user_id = u.id AND t.ended_at IS NULL AND t.expires_at > now())::int AS tokens
FROM users u ORDER BY u.id LIMIT 10000;

-- Those of some accounts that are collaborators of a project which the reader owns.
-- name: ListOwnedCollaborators :many
SELECT DISTINCT c.user_id FROM collaborators o JOIN collaborators c ON c.project_id = o.project_id
WHERE o.user_id = @reader AND o.role = 'owner' AND o.status = 'accepted' AND o.active AND c.status = 'accepted' AND c.active AND c.user_id = ANY (@ids::int[]);

-- name: InsertUser :one
INSERT INTO users (email, username, display_name, avatar_color, password_hash, last_login_at)
VALUES (sqlc.narg(email), @username, @display_name, @avatar_color, sqlc.narg(password_hash), CASE WHEN @logged_in::boolean THEN now() END)
RETURNING *;

-- name: UpdateUserNames :one
UPDATE users SET display_name = coalesce(sqlc.narg(display_name), display_name), email = coalesce(sqlc.narg(email), email), updated_at = now()
WHERE id = @id RETURNING *;

-- name: SetPassword :exec
UPDATE users SET password_hash = @password_hash, code_hash = NULL, code_expires = NULL WHERE id = @id;

-- The same password with another cost. A code that is open stays so.
-- name: ReplaceHash :exec
UPDATE users SET password_hash = @password_hash WHERE id = @id;

-- name: SetCode :one
UPDATE users SET code_hash = @code_hash, code_expires = now() + interval '1 hour' WHERE id = @id RETURNING *;

-- name: GetUserByCode :one
SELECT * FROM users WHERE code_hash = @code_hash AND code_expires > now() FOR UPDATE;

-- name: NoteLogin :exec
UPDATE users SET last_login_at = now() WHERE id = @id;

-- name: SetDisabled :one
UPDATE users SET disabled_at = CASE WHEN @disabled::boolean THEN coalesce(disabled_at, now()) END WHERE id = @id RETURNING *;

-- name: InsertSession :one
INSERT INTO sessions (user_id, secret_hash, expires_at, address, issuer, issuer_session, subject, proved_at)
VALUES (@user_id, @secret_hash, now() + make_interval(secs => @ttl::float8), sqlc.narg(address)::inet, sqlc.narg(issuer), sqlc.narg(issuer_session),
    sqlc.narg(subject), CASE WHEN sqlc.narg(issuer)::text IS NULL OR sqlc.narg(proved_at)::timestamptz > now() THEN now() ELSE sqlc.narg(proved_at) END)
RETURNING id, user_id, created_at, last_used_at, expires_at, ended_at, ended_by;

-- Ends the oldest sessions of an account, so that at most so many are left.
-- name: EndOldSessions :execrows
UPDATE sessions SET ended_at = now(), ended_by = @ended_by WHERE id IN (
    SELECT s.id FROM sessions s WHERE s.user_id = @user_id AND s.ended_at IS NULL AND s.expires_at > now() ORDER BY s.id DESC OFFSET @most::int
);

-- name: EndSession :execrows
UPDATE sessions SET ended_at = now(), ended_by = @ended_by WHERE id = @id AND user_id = @user_id AND ended_at IS NULL AND expires_at > now();

-- Whether a session has not ended, and does not until the end of the transaction but by its time.
-- name: HoldSession :one
SELECT id FROM sessions WHERE id = @id AND user_id = @user_id AND ended_at IS NULL AND expires_at > now() FOR SHARE;

-- Ends the sessions of an account but for one; 0 spares none. Who ends several locks them in one order, here and below.
-- name: EndSessionsBut :execrows
UPDATE sessions SET ended_at = now(), ended_by = @ended_by WHERE id IN (
    SELECT s.id FROM sessions s WHERE s.user_id = @user_id AND s.id <> @spared AND s.ended_at IS NULL AND s.expires_at > now() ORDER BY s.id FOR UPDATE
);

-- Of a logout that names both, a session that began without a session there counts as one of the subject's.
-- name: EndIssuerSessions :many
UPDATE sessions SET ended_at = now(), ended_by = @ended_by WHERE id IN (
    SELECT s.id FROM sessions s
    WHERE s.issuer = @issuer AND (
            s.issuer_session = sqlc.narg(issuer_session) AND (sqlc.narg(subject)::text IS NULL OR s.subject = sqlc.narg(subject))
            OR s.subject = sqlc.narg(subject) AND (sqlc.narg(issuer_session)::text IS NULL OR s.issuer_session IS NULL))
        AND s.ended_at IS NULL AND s.expires_at > now()
    ORDER BY s.id FOR UPDATE
)
RETURNING user_id;

-- The order of the primary key would do, read whole: the sum keeps the planner off it.
-- name: ListSessions :many
SELECT id, user_id, created_at, last_used_at, expires_at, ended_at, ended_by FROM sessions
WHERE user_id = @user_id AND ended_at IS NULL AND expires_at > now() ORDER BY id + 0 DESC LIMIT 100;

-- name: GetSession :one
SELECT id, user_id, created_at, last_used_at, expires_at, ended_at, ended_by FROM sessions WHERE id = @id AND user_id = @user_id;

-- name: CountTokens :one
SELECT count(*)::int FROM tokens WHERE user_id = @user_id AND ended_at IS NULL AND expires_at > now();

-- The account as it is until the end of the transaction: what was checked before may have changed since.
-- name: LockUser :one
SELECT * FROM users WHERE id = @id FOR UPDATE;

-- name: InsertToken :one
INSERT INTO tokens (user_id, name, scopes, project_id, secret_hash, expires_at)
VALUES (@user_id, @name, @scopes, sqlc.narg(project_id), @secret_hash, now() + make_interval(days => @days::int))
RETURNING id, name, scopes, project_id, created_at, last_used_at, expires_at;

-- The old secret lives one more hour.
-- name: RotateToken :one
UPDATE tokens SET former_hash = secret_hash, former_until = now() + interval '1 hour', secret_hash = @secret_hash
WHERE id = @id AND user_id = @user_id AND ended_at IS NULL AND expires_at > now()
RETURNING id, name, scopes, project_id, created_at, last_used_at, expires_at;

-- name: EndToken :execrows
UPDATE tokens SET ended_at = now(), ended_by = @ended_by WHERE id = @id AND user_id = @user_id AND ended_at IS NULL AND expires_at > now();

-- name: EndTokens :execrows
UPDATE tokens SET ended_at = now(), ended_by = @ended_by WHERE user_id = @user_id AND ended_at IS NULL AND expires_at > now();

-- For the sum see ListSessions.
-- name: ListTokens :many
SELECT id, name, scopes, project_id, created_at, last_used_at, expires_at FROM tokens
WHERE user_id = @user_id AND ended_at IS NULL AND expires_at > now() ORDER BY id + 0 LIMIT 100;

-- name: GetIdentity :one
UPDATE identities SET used_at = now() WHERE issuer = @issuer AND subject = @subject RETURNING user_id;

-- Whom an identity is, without a write.
-- name: GetUserByIdentity :one
SELECT u.* FROM users u WHERE u.id = (SELECT i.user_id FROM identities i WHERE i.issuer = @issuer AND i.subject = @subject);

-- name: CountIdentities :one
SELECT count(*)::int FROM identities WHERE user_id = @user_id;

-- name: InsertIdentity :exec
INSERT INTO identities (issuer, subject, user_id, used_at) VALUES (@issuer, @subject, @user_id, now());

-- name: InsertSecurityEvent :exec
INSERT INTO security_log (event, user_id, username, by_whom, address, request_id, detail)
VALUES (@event, sqlc.narg(user_id), sqlc.narg(username), @by_whom, sqlc.narg(address)::inet, sqlc.narg(request_id), sqlc.narg(detail));

-- Tells every replica that something ended, once the transaction is committed.
-- name: TellSessionsEnded :exec
SELECT public.tell_replicas('sessions');

-- Who is disabled owns nothing.
-- name: ListProjectsWithoutOwner :many
SELECT p.id, p.name FROM projects p
WHERE NOT EXISTS (SELECT FROM collaborators c JOIN users u ON u.id = c.user_id
    WHERE c.project_id = p.id AND c.role = 'owner' AND c.status = 'accepted' AND c.active AND u.disabled_at IS NULL)
ORDER BY p.id LIMIT 1000;

-- Gives a project that nobody owns an owner.
-- name: AdoptProject :execrows
INSERT INTO collaborators (project_id, user_id, role, status, joined_at, last_active_at)
SELECT p.id, @user_id, 'owner', 'accepted', now(), now() FROM projects p
WHERE p.id = @project_id AND NOT EXISTS (
    SELECT FROM collaborators c JOIN users u ON u.id = c.user_id
    WHERE c.project_id = p.id AND c.role = 'owner' AND c.status = 'accepted' AND c.active AND u.disabled_at IS NULL)
ON CONFLICT (project_id, user_id) DO UPDATE SET role = 'owner', status = 'accepted', active = true, joined_at = now(), updated_at = now();

-- name: TrimSessions :execrows
DELETE FROM sessions WHERE id IN (SELECT s.id FROM sessions s WHERE coalesce(s.ended_at, s.expires_at) < now() - interval '7 days' LIMIT 1000);

-- name: TrimTokens :execrows
DELETE FROM tokens WHERE id IN (SELECT t.id FROM tokens t WHERE coalesce(t.ended_at, t.expires_at) < now() - interval '7 days' LIMIT 1000);

-- name: TrimAttempts :execrows
DELETE FROM login_attempts WHERE id IN (
    SELECT a.id FROM login_attempts a WHERE a.at < now() - CASE WHEN a.failed THEN interval '1 day' ELSE interval '30 days' END ORDER BY a.at LIMIT 1000
);

-- name: TrimSecurityLog :execrows
DELETE FROM security_log WHERE id IN (SELECT l.id FROM security_log l WHERE l.at < now() - interval '90 days' ORDER BY l.at LIMIT 1000);

-- name: TrimFlows :execrows
DELETE FROM oidc_flows WHERE expires_at < now();

-- name: TrimLogouts :execrows
DELETE FROM oidc_logouts WHERE expires_at < now();
