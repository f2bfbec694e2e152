-- What operators may ask of replicas. A function checks, writes a row into public.commands, and tells the replicas to look there. The
-- row decides: each replica looks every second anyway. So the notification may be inside the operator's transaction, where those about
-- plans must never be: it is rare, and nobody's change waits behind the lock that it takes until the commit.
--
-- Everything here runs with its owner's rights and looks up names in pg_catalog only, so that nobody can put a table of their own in
-- the way. Nobody may call anything until grant_operator says so.

-- The header of the payload says that no replica sent it (internal/fanout/payload.go). Everybody who may connect can listen to the channel
-- and speak on it: so it says no more than that there is something to look at, and causes nothing but that.
CREATE OR REPLACE FUNCTION public.tell_replicas(kind text) RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_notify('layercake_presence', E'1 - - 0\na ' || kind)
$$;
REVOKE ALL ON FUNCTION public.tell_replicas(text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION public.live_replica(replica text) RETURNS public.replicas LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found public.replicas[];
    live text;
BEGIN
    found := ARRAY(SELECT r FROM public.replicas r
        WHERE r.expires_at > statement_timestamp() AND replica <> '' AND (starts_with(r.incarnation::text, lower(replica)) OR r.address = replica));
    IF cardinality(found) = 1 THEN
        RETURN found[1];
    END IF;
    SELECT coalesce(string_agg(format('%s at %s', left(r.incarnation::text, 8), r.address), ', ' ORDER BY r.address), 'none') INTO live
    FROM public.replicas r WHERE r.expires_at > statement_timestamp();
    IF cardinality(found) > 1 THEN
        RAISE EXCEPTION '% replicas are called "%"', cardinality(found), replica USING ERRCODE = 'cardinality_violation',
            HINT = 'Give more of the id. Live replicas: ' || live || '.';
    END IF;
    RAISE EXCEPTION 'No live replica is called "%"', coalesce(replica, 'null') USING ERRCODE = 'no_data_found',
        HINT = 'Give the first characters of its id, or its address. Live replicas: ' || live || '.';
END $$;
REVOKE ALL ON FUNCTION public.live_replica(text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION layercake.kick(connection_id uuid, reason text DEFAULT 'Disconnected by an operator') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command bigint;
    kind text;
BEGIN
    INSERT INTO public.commands AS c (kind, connection_id, user_id, incarnation, address, reason)
    SELECT CASE WHEN p.incarnation IS NULL THEN 'kick_guest' ELSE 'kick' END, p.connection_id, p.user_id, r.incarnation, r.address, kick.reason
    FROM public.presence p LEFT JOIN public.replicas r ON r.incarnation = p.incarnation
    WHERE p.connection_id = kick.connection_id AND coalesce(p.expires_at, r.expires_at) > statement_timestamp()
    RETURNING c.id, c.kind INTO command, kind;
    IF command IS NULL THEN
        RAISE EXCEPTION 'There is no connection %', coalesce(kick.connection_id::text, 'null') USING ERRCODE = 'no_data_found',
            HINT = 'It may have ended. Those that there are: SELECT * FROM layercake.who;';
    END IF;
    PERFORM public.tell_replicas(kind);
    RETURN command;
END $$;
REVOKE ALL ON FUNCTION layercake.kick(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION layercake.kick(uuid, text) IS
    'Closes one connection, and tells its client why; or removes one guest, and closes the streams of its client. Its program may come back. Returns the id in layercake.commands.';

CREATE OR REPLACE FUNCTION layercake.kick_user(user_id text, reason text DEFAULT 'Disconnected by an operator') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command bigint;
BEGIN
    -- Presence names an account by its id; people may say its user name.
    user_id := coalesce((SELECT u.id::text FROM public.users u WHERE lower(u.username) = lower(kick_user.user_id)
        AND NOT EXISTS (SELECT FROM public.users o WHERE o.id::text = kick_user.user_id) -- nobody hides behind a name that is another's id
        AND NOT EXISTS (SELECT FROM public.presence p WHERE p.user_id = kick_user.user_id)), user_id);
    IF NOT EXISTS (SELECT FROM public.presence p LEFT JOIN public.replicas r ON r.incarnation = p.incarnation
            WHERE p.user_id = kick_user.user_id AND coalesce(p.expires_at, r.expires_at) > statement_timestamp())
        AND NOT EXISTS (SELECT FROM public.users u WHERE u.id::text = kick_user.user_id) THEN
        RAISE EXCEPTION 'No connection is of user "%"', coalesce(kick_user.user_id, 'null') USING ERRCODE = 'no_data_found',
            HINT = 'Those that there are: SELECT * FROM layercake.who;';
    END IF;
    INSERT INTO public.commands (kind, user_id, reason) VALUES ('kick_user', kick_user.user_id, kick_user.reason) RETURNING id INTO command;
    PERFORM public.tell_replicas('kick_user');
    RETURN command;
END $$;
REVOKE ALL ON FUNCTION layercake.kick_user(text, text) FROM PUBLIC;
COMMENT ON FUNCTION layercake.kick_user(text, text) IS
    'Closes all connections of a user, on all replicas, tells their clients why, and removes the guests of that user. Returns the id in layercake.commands.';

CREATE OR REPLACE FUNCTION layercake.drain(replica text, spread interval DEFAULT '10 s') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target public.replicas := public.live_replica(replica);
    command bigint;
BEGIN
    IF spread IS NULL OR spread NOT BETWEEN interval '0' AND interval '1 hour' THEN
        RAISE EXCEPTION 'The spread is %', coalesce(spread::text, 'null') USING ERRCODE = 'invalid_parameter_value',
            HINT = 'It is the time over which the sockets are closed: from 0 to 1 hour.';
    END IF;
    IF NOT EXISTS (SELECT FROM public.replicas r
            WHERE r.expires_at > statement_timestamp() AND r.incarnation <> target.incarnation AND NOT r.draining) THEN
        RAISE WARNING 'No other replica takes sockets: clients have nowhere to go until one does';
    END IF;
    INSERT INTO public.commands (kind, incarnation, address, spread)
    VALUES ('drain', target.incarnation, target.address, drain.spread) RETURNING id INTO command;
    PERFORM public.tell_replicas('drain');
    RETURN command;
END $$;
REVOKE ALL ON FUNCTION layercake.drain(text, interval) FROM PUBLIC;
COMMENT ON FUNCTION layercake.drain(text, interval) IS
    'Makes a replica not ready and sends its sockets elsewhere, bit by bit, until undrain or its end. Give the beginning of its id, or its address. Returns the id in layercake.commands.';

CREATE OR REPLACE FUNCTION layercake.undrain(replica text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target public.replicas := public.live_replica(replica);
    command bigint;
BEGIN
    INSERT INTO public.commands (kind, incarnation, address) VALUES ('undrain', target.incarnation, target.address) RETURNING id INTO command;
    PERFORM public.tell_replicas('undrain');
    RETURN command;
END $$;
REVOKE ALL ON FUNCTION layercake.undrain(text) FROM PUBLIC;
COMMENT ON FUNCTION layercake.undrain(text) IS
    'Lets a drained replica take sockets again. Give the beginning of its id, or its address. Returns the id in layercake.commands.';

CREATE OR REPLACE VIEW layercake.commands AS
SELECT c.id, c.at, c.issued_by, c.kind, coalesce(c.connection_id::text, c.user_id, c.address, c.project_id || ' ' || c.node_id) AS target, c.reason, c.spread, c.acted_at,
    c.acted_by, c.connections, c.client
FROM public.commands c;
COMMENT ON VIEW layercake.commands IS 'What operators asked of the replicas, and what came of it; kept for a year.';
COMMENT ON COLUMN layercake.commands.id IS 'The command, as the function returned it.';
COMMENT ON COLUMN layercake.commands.at IS 'When it was issued.';
COMMENT ON COLUMN layercake.commands.issued_by IS 'The role that had logged in, whatever role it had taken on since.';
COMMENT ON COLUMN layercake.commands.kind IS 'kick, kick_guest (the kick of a guest), kick_user, drain, undrain or cancel_build.';
COMMENT ON COLUMN layercake.commands.target IS 'The connection or guest, the user, the address of the replica, or the project and node of the build that it is about.';
COMMENT ON COLUMN layercake.commands.reason IS 'What clients are told; null for drains.';
COMMENT ON COLUMN layercake.commands.spread IS 'The time over which a drain closes the sockets; else null.';
COMMENT ON COLUMN layercake.commands.acted_at IS 'When a replica first acted on it; null while none did.';
COMMENT ON COLUMN layercake.commands.acted_by IS 'Addresses of the replicas that acted, first to last.';
COMMENT ON COLUMN layercake.commands.connections IS 'Connections that were closed, and guests that were removed; of a drain, connections that were open when it began.';
COMMENT ON COLUMN layercake.commands.client IS
    'Where it came from: address of the browser in which somebody pressed a button of /ops, or of the session of SQL; null for one on the server itself, and of releases before.';
