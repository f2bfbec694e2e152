-- Accounts for DBAs: who is signed in, who may what, what happened. No view shows a secret, nor what a secret could be guessed from.

-- Presence is counted once, and not for each session: nothing of it is found by its user.
CREATE OR REPLACE VIEW layercake.sessions AS
WITH present AS (SELECT p.user_id, count(*)::integer AS connections FROM public.presence p GROUP BY p.user_id)
SELECT 'session'::text AS kind, s.id, s.user_id, u.username, NULL::text AS name, s.created_at, s.last_used_at AS last_seen_at, s.expires_at, s.ended_at, s.ended_by,
    host(s.address) AS address, coalesce(p.connections, 0) AS connections
FROM public.sessions s JOIN public.users u ON u.id = s.user_id LEFT JOIN present p ON p.user_id = s.user_id::text
UNION ALL
SELECT 'token', t.id, t.user_id, u.username, t.name, t.created_at, t.last_used_at, t.expires_at, t.ended_at, t.ended_by,
    NULL, coalesce(p.connections, 0)
FROM public.tokens t JOIN public.users u ON u.id = t.user_id LEFT JOIN present p ON p.user_id = 'token-' || t.id;
COMMENT ON VIEW layercake.sessions IS 'Sessions of people and tokens of programs, until a week after they expired. end_sessions ends those of an account.';
COMMENT ON COLUMN layercake.sessions.kind IS 'session: of a person; token: of a program that acts for the account.';
COMMENT ON COLUMN layercake.sessions.id IS 'The public id, by kind. It proves nothing.';
COMMENT ON COLUMN layercake.sessions.user_id IS 'The account, as who has it.';
COMMENT ON COLUMN layercake.sessions.username IS 'Its user name.';
COMMENT ON COLUMN layercake.sessions.name IS 'What its owner calls a token; null for sessions.';
COMMENT ON COLUMN layercake.sessions.created_at IS 'When somebody signed in, or made the token.';
COMMENT ON COLUMN layercake.sessions.last_seen_at IS 'When it was last used, as old as a minute; null before.';
COMMENT ON COLUMN layercake.sessions.expires_at IS 'When it ends at the latest.';
COMMENT ON COLUMN layercake.sessions.ended_at IS 'When it was ended before that; null while it was not.';
COMMENT ON COLUMN layercake.sessions.ended_by IS 'Who ended it, and how.';
COMMENT ON COLUMN layercake.sessions.address IS 'Where somebody signed in; null for tokens.';
COMMENT ON COLUMN layercake.sessions.connections IS 'Connections and guests of the account, or of the token, in projects now.';

CREATE OR REPLACE VIEW layercake.members AS
SELECT c.project_id, p.name AS project, c.user_id, u.username, u.display_name, c.role, c.status, c.active, i.username AS invited_by, c.invited_at,
    c.joined_at, c.status = 'accepted' AND c.active AND u.disabled_at IS NULL AS has_right
FROM public.collaborators c
JOIN public.projects p ON p.id = c.project_id
JOIN public.users u ON u.id = c.user_id
LEFT JOIN public.users i ON i.id = c.invited_by;
COMMENT ON VIEW layercake.members IS 'Who may what: one row an account and project, also of those who were invited or removed.';
COMMENT ON COLUMN layercake.members.project_id IS 'The project.';
COMMENT ON COLUMN layercake.members.project IS 'Its name.';
COMMENT ON COLUMN layercake.members.user_id IS 'The account.';
COMMENT ON COLUMN layercake.members.username IS 'Its user name.';
COMMENT ON COLUMN layercake.members.display_name IS 'The name for people to read.';
COMMENT ON COLUMN layercake.members.role IS 'owner, editor or viewer.';
COMMENT ON COLUMN layercake.members.status IS 'pending, accepted, declined or revoked.';
COMMENT ON COLUMN layercake.members.active IS 'False once removed.';
COMMENT ON COLUMN layercake.members.invited_by IS 'User name of who invited; null for who made the project.';
COMMENT ON COLUMN layercake.members.invited_at IS 'When.';
COMMENT ON COLUMN layercake.members.joined_at IS 'When the person accepted; null before.';
COMMENT ON COLUMN layercake.members.has_right IS 'Whether the role counts now, in required mode.';

CREATE OR REPLACE VIEW layercake.security_log AS
SELECT l.id, l.at, l.event, l.user_id, l.username, l.by_whom, host(l.address) AS address, l.request_id, l.detail FROM public.security_log l;
COMMENT ON VIEW layercake.security_log IS 'What happened to accounts and their credentials, for 90 days.';
COMMENT ON COLUMN layercake.security_log.id IS 'The entry.';
COMMENT ON COLUMN layercake.security_log.at IS 'When.';
COMMENT ON COLUMN layercake.security_log.event IS 'What: login, login_failed, logout, session_ended, password_changed, token_created, account_disabled, limit_met, and so on.';
COMMENT ON COLUMN layercake.security_log.user_id IS 'The account; null when there is none. It may have been deleted since.';
COMMENT ON COLUMN layercake.security_log.username IS 'Its name then.';
COMMENT ON COLUMN layercake.security_log.by_whom IS 'Who did it: an account, an operator, a role of the database, or nobody.';
COMMENT ON COLUMN layercake.security_log.address IS 'Where from; null for operators.';
COMMENT ON COLUMN layercake.security_log.request_id IS 'The request, as the log of the server names it.';
COMMENT ON COLUMN layercake.security_log.detail IS 'More of it.';

-- An account by its decimal id or its user name.
CREATE OR REPLACE FUNCTION public.account_named(account text) RETURNS public.users LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found public.users;
BEGIN
    SELECT u.* INTO found FROM public.users u WHERE u.id::text = account OR lower(u.username) = lower(account) ORDER BY u.id::text = account DESC LIMIT 1;
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'There is no account "%"', coalesce(account, 'null') USING ERRCODE = 'no_data_found',
            HINT = 'Give its id or its user name: SELECT DISTINCT user_id, username FROM layercake.sessions;';
    END IF;
    RETURN found;
END $$;
REVOKE ALL ON FUNCTION public.account_named(text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION layercake.end_sessions(account text, reason text DEFAULT 'Ended by an operator') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who public.users := public.account_named(account);
    ended integer;
    tokens integer;
BEGIN
    UPDATE public.sessions s SET ended_at = now(), ended_by = left(session_user || ': ' || reason, 200)
    WHERE s.user_id = who.id AND s.ended_at IS NULL AND s.expires_at > now();
    GET DIAGNOSTICS ended = ROW_COUNT;
    UPDATE public.tokens t SET ended_at = now(), ended_by = left(session_user || ': ' || reason, 200)
    WHERE t.user_id = who.id AND t.ended_at IS NULL AND t.expires_at > now();
    GET DIAGNOSTICS tokens = ROW_COUNT;
    INSERT INTO public.security_log (event, user_id, username, by_whom, detail)
    VALUES ('session_ended', who.id, who.username, left('role ' || session_user, 200), left(format('%s sessions and %s tokens: %s', ended, tokens, reason), 1000));
    PERFORM public.tell_replicas('sessions');
    RETURN ended + tokens;
END $$;
REVOKE ALL ON FUNCTION layercake.end_sessions(text, text) FROM PUBLIC;
COMMENT ON FUNCTION layercake.end_sessions(text, text) IS
    'Ends all sessions and tokens of an account, by its id or user name: requests are refused at once, and sockets on all replicas close. Who knows the password can sign in again. Returns their number.';

CREATE OR REPLACE FUNCTION layercake.disable_user(account text, reason text DEFAULT 'Disabled by an operator') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who public.users := public.account_named(account);
BEGIN
    UPDATE public.users u SET disabled_at = coalesce(u.disabled_at, now()) WHERE u.id = who.id;
    INSERT INTO public.security_log (event, user_id, username, by_whom, detail)
    VALUES ('account_disabled', who.id, who.username, left('role ' || session_user, 200), left(reason, 1000));
    PERFORM layercake.end_sessions(who.id::text, reason);
END $$;
REVOKE ALL ON FUNCTION layercake.disable_user(text, text) FROM PUBLIC;
COMMENT ON FUNCTION layercake.disable_user(text, text) IS 'Disables an account, by its id or user name, and ends all its sessions and tokens.';

CREATE OR REPLACE FUNCTION layercake.enable_user(account text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who public.users := public.account_named(account);
BEGIN
    UPDATE public.users u SET disabled_at = NULL WHERE u.id = who.id;
    INSERT INTO public.security_log (event, user_id, username, by_whom) VALUES ('account_enabled', who.id, who.username, left('role ' || session_user, 200));
END $$;
REVOKE ALL ON FUNCTION layercake.enable_user(text) FROM PUBLIC;
COMMENT ON FUNCTION layercake.enable_user(text) IS 'Lets a disabled account be used again. What ended stays so.';
