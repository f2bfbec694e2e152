-- What can be wrong with a deployment, each thing checked here and nowhere else: the view, `layercake doctor` and /health?verbose show
-- these rows. A view's functions see with the rights of whoever reads it, and pg_stat_activity hides most of other people's sessions
-- from them. So the checks are a function that runs with its owner's rights, and tells nothing but what it finds.
CREATE OR REPLACE FUNCTION layercake.check_health() RETURNS TABLE ("check" text, status text, detail text, advice text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Replicas need a server that accepts writes. On a standby the tables of the next checks are empty or cannot be read.
    IF pg_is_in_recovery() THEN
        RETURN QUERY SELECT 'database', 'warn', 'this server is a standby', 'Ask the primary: replicas work with nothing else.';
        RETURN;
    END IF;
    RETURN QUERY
    SELECT 'database', CASE WHEN s.setting = 'on' THEN 'fail' ELSE 'ok' END,
        format('PostgreSQL %s, up since %s%s', current_setting('server_version'), date_trunc('second', pg_postmaster_start_time()),
            CASE WHEN s.setting = 'on' THEN ', read-only' ELSE '' END),
        CASE WHEN s.setting = 'on' THEN 'Replicas cannot write: set default_transaction_read_only to off.' END
    -- What whoever reads has set for themselves is no matter.
    FROM (SELECT max(setting) FILTER (WHERE source NOT IN ('session', 'client', 'user', 'database user')) AS setting
        FROM pg_settings WHERE name = 'default_transaction_read_only') s;

    RETURN QUERY
    SELECT 'durability', CASE WHEN s.off IS NOT NULL THEN 'fail' ELSE 'ok' END,
        coalesce(s.off || ' off', 'fsync and full_page_writes are on'),
        CASE WHEN s.off IS NOT NULL THEN 'A crash of the machine can destroy the database: turn it on.' END
    FROM (SELECT string_agg(name, ', ' ORDER BY name) AS off -- replicas turn synchronous_commit on themselves
        FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off') s;

    -- For information: replicas that do not fit refuse to start.
    RETURN QUERY
    SELECT 'schema', 'ok', format('migration %s; binaries must know migration %s', (SELECT max(g.version_id) FROM public.goose_db_version g),
        (SELECT b.min_binary_schema FROM public.binaries b)), NULL::text;

    RETURN QUERY
    SELECT 'replicas', CASE WHEN s.live = 0 THEN 'fail' WHEN s.stale > 0 THEN 'warn' ELSE 'ok' END,
        format('%s live', s.live) || coalesce(': ' || s.names, '') || CASE WHEN s.stale > 0 THEN format('; %s stale', s.stale) ELSE '' END,
        CASE WHEN s.live = 0 THEN 'Nobody can work: start a replica, or look why none renews its lease.'
            WHEN s.stale > 0 THEN 'Expired leases stay: live replicas remove them when their own are steady. Look at their logs.' END
    -- A lease that has just expired is about to be removed.
    FROM (SELECT count(*) FILTER (WHERE r.expires_at > statement_timestamp()) AS live,
            count(*) FILTER (WHERE r.expires_at < statement_timestamp() - interval '10 s') AS stale,
            string_agg(r.address, ', ' ORDER BY r.address) FILTER (WHERE r.expires_at > statement_timestamp()) AS names
        FROM public.replicas r) s;

    RETURN QUERY
    SELECT 'versions', CASE WHEN s.n > 1 THEN 'warn' ELSE 'ok' END, coalesce(s.versions, 'none live'),
        CASE WHEN s.n > 1 THEN 'Replicas of several versions run: end the upgrade, or look for a forgotten one.' END
    FROM (SELECT count(DISTINCT r.version) AS n, string_agg(DISTINCT r.version, ', ') AS versions
        FROM public.replicas r WHERE r.expires_at > statement_timestamp()) s;

    -- Replicas seal what they tell each other from wire version 3 on, once all do.
    RETURN QUERY
    SELECT 'wire', CASE WHEN s.names IS NOT NULL THEN 'warn' ELSE 'ok' END,
        coalesce('not sealed, for replicas of an older release: ' || s.names, 'sealed'),
        CASE WHEN s.names IS NOT NULL THEN
            'End the upgrade: until then any role of this database can hear what replicas tell each other, and speak as one of the older.' END
    FROM (SELECT string_agg(r.address, ', ' ORDER BY r.address) AS names
        FROM public.replicas r WHERE r.expires_at > statement_timestamp() AND r.wire < 3) s;

    RETURN QUERY
    SELECT 'access', CASE WHEN s.modes > 1 OR s.forgetful THEN 'fail' WHEN s.required AND (o.n > 0 OR s.exposed IS NOT NULL) THEN 'warn' ELSE 'ok' END,
        CASE WHEN s.modes > 1 THEN 'some replicas want a credential, others let everybody in'
            WHEN s.forgetful THEN 'replicas of a release that knows no accounts let everybody in'
            WHEN s.required THEN 'everybody signs in' || CASE WHEN o.n > 0 THEN format('; %s projects have no owner, such as %s', o.n, o.example) ELSE '' END
                || coalesce('; without TLS or a proxy: ' || s.exposed, '')
            WHEN s.required IS NULL THEN 'none live'
            ELSE 'callers without a credential own everything' END,
        CASE WHEN s.modes > 1 OR s.forgetful THEN 'Start all replicas with the same LAYERCAKE_AUTH, and of this release: what one lets in, all do.'
            WHEN s.required THEN nullif(concat_ws(' ',
                CASE WHEN o.n > 0 THEN 'Nobody can open them: layercake user adopt gives them an owner.' END,
                CASE WHEN s.exposed IS NOT NULL THEN 'Passwords may travel in the clear: put a proxy with TLS before them, and set LAYERCAKE_TRUSTED_PROXIES or an https LAYERCAKE_PUBLIC_URL.' END), '') END
    FROM (SELECT count(DISTINCT r.required) AS modes, bool_or(r.required) AS required,
            coalesce(bool_or(r.required), false) AND bool_or(r.required IS NULL) AS forgetful,
            string_agg(r.address, ', ' ORDER BY r.address) FILTER (WHERE r.exposed) AS exposed
        FROM public.replicas r WHERE r.expires_at > statement_timestamp()) s,
        (SELECT count(*) AS n, min(p.id) AS example FROM public.projects p WHERE NOT EXISTS (SELECT FROM public.collaborators c JOIN public.users u ON u.id = c.user_id
            WHERE c.project_id = p.id AND c.role = 'owner' AND c.status = 'accepted' AND c.active AND u.disabled_at IS NULL)) o;

    RETURN QUERY
    SELECT 'draining', CASE WHEN s.names IS NOT NULL THEN 'warn' ELSE 'ok' END, coalesce(s.names, 'no replica'),
        CASE WHEN s.names IS NOT NULL THEN 'They take no sockets: stop them, or call layercake.undrain.' END
    FROM (SELECT string_agg(r.address, ', ' ORDER BY r.address) AS names
        FROM public.replicas r WHERE r.expires_at > statement_timestamp() AND r.draining) s;

    -- One connection of each replica listens. While it is away, changes on other replicas reach its clients by polling.
    RETURN QUERY
    SELECT 'listeners', CASE WHEN s.listeners < s.settled THEN 'fail' ELSE 'ok' END,
        format('%s for %s live replicas', s.listeners, s.live),
        CASE WHEN s.listeners < s.settled THEN
            'Changes reach some clients late: look for "listener" in the logs, and whether LAYERCAKE_LISTEN_DATABASE_URL is direct.' END
    FROM (SELECT (SELECT count(*) FROM pg_stat_activity a
                WHERE a.datname = current_database() AND a.application_name LIKE 'layercake/%/listener') AS listeners,
            r.live, r.settled
        FROM (SELECT count(*) AS live, count(*) FILTER (WHERE l.started_at < statement_timestamp() - interval '5 s') AS settled
            FROM public.replicas l WHERE l.expires_at > statement_timestamp()) r) s; -- a new one may not listen yet

    -- Roles and databases have limits, too, which are not for superusers. Replicas leave two of those connections to others, so that
    -- the last one says that somebody else takes them. The limit that is nearest counts.
    RETURN QUERY
    SELECT 'connections', CASE WHEN s.used >= s.fail THEN 'fail' WHEN s.used >= s.warn THEN 'warn' ELSE 'ok' END,
        format('%s of %s in use%s, %s by replicas', s.used, s.most, s.name, s.ours),
        CASE WHEN s.used >= s.warn THEN format('Replicas may soon be refused: raise %s, or lower LAYERCAKE_POOL_MAX.', s.mend) END
    FROM (WITH sessions AS (
            SELECT a.usesysid, a.datname, a.application_name LIKE 'layercake/%' AS ours
            FROM pg_stat_activity a WHERE a.backend_type = 'client backend' OR a.backend_type IS NULL AND a.datname IS NOT NULL), -- hidden
        app AS (SELECT DISTINCT r.oid, r.rolname, r.rolconnlimit
            FROM sessions a JOIN pg_roles r ON r.oid = a.usesysid WHERE a.ours AND a.datname = current_database() AND NOT r.rolsuper)
        SELECT l.*, count(*) FILTER (WHERE a.ours) AS ours, count(*) AS used
        FROM (SELECT '' AS name, 'max_connections' AS mend, NULL::oid AS role, NULL::name AS datname, m.most, 0.8 * m.most AS warn,
                0.95 * m.most AS fail
            FROM (SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                - coalesce(current_setting('reserved_connections', true)::int, 0) AS most) m
            UNION ALL
            SELECT ' by the role ' || p.rolname, 'its CONNECTION LIMIT', p.oid, NULL, p.rolconnlimit, p.rolconnlimit - 1, p.rolconnlimit
            FROM app p WHERE p.rolconnlimit >= 0
            UNION ALL
            SELECT ' in the database ' || d.datname, 'its CONNECTION LIMIT', NULL, d.datname, d.datconnlimit, d.datconnlimit - 1,
                d.datconnlimit
            FROM pg_database d WHERE d.datname = current_database() AND d.datconnlimit >= 0 AND EXISTS (SELECT FROM app)) l
        JOIN sessions a ON (l.role IS NULL OR a.usesysid = l.role) AND (l.datname IS NULL OR a.datname = l.datname)
        GROUP BY l.name, l.mend, l.role, l.datname, l.most, l.warn, l.fail
        ORDER BY count(*) >= l.fail DESC, count(*) >= l.warn DESC, l.most - count(*) LIMIT 1) s;

    -- A session that listens in a transaction that does not end keeps all that was said since.
    RETURN QUERY
    SELECT 'notifications', CASE WHEN s.used > 0.5 THEN 'fail' WHEN s.used > 0.1 THEN 'warn' ELSE 'ok' END,
        format('%s %% of the queue in use', round(100 * s.used::numeric, 1)),
        CASE WHEN s.used > 0.1 THEN 'A session listens in a long transaction: end it, or the replicas cannot tell each other anything.' END
    FROM (SELECT pg_notification_queue_usage() AS used) s;

    -- Lock/object is what sessions wait for that notify in transactions of their own.
    RETURN QUERY
    SELECT 'locks', CASE WHEN s.long > 0 THEN 'warn' ELSE 'ok' END,
        format('%s sessions wait, %s for longer than 1 s', s.waiting, s.long)
            || CASE WHEN s.notifying > 0 THEN format(', %s of them to notify', s.notifying) ELSE '' END,
        CASE WHEN s.notifying > 0 THEN 'Something notifies in its transactions, which makes commits of this database take turns: find it.'
            WHEN s.long > 0 THEN 'pg_blocking_pids(pid) says who is in the way.' END
    FROM (SELECT count(*) AS waiting, count(*) FILTER (WHERE a.query_start < clock_timestamp() - interval '1 s') AS long,
            count(*) FILTER (WHERE a.wait_event = 'object' AND a.query_start < clock_timestamp() - interval '1 s') AS notifying
        FROM pg_stat_activity a WHERE a.datname = current_database() AND a.wait_event_type = 'Lock') s;

    RETURN QUERY
    SELECT 'transactions', CASE WHEN s.age > interval '1 hour' THEN 'fail' WHEN s.age > interval '1 min' THEN 'warn' ELSE 'ok' END,
        coalesce('the longest runs for ' || date_trunc('second', s.age), 'none runs')
            || CASE WHEN s.hidden > 0 THEN format('; %s sessions of other roles are hidden', s.hidden) ELSE '' END,
        CASE WHEN s.age > interval '1 min' THEN format('%s: while it is open, vacuum removes nothing that is younger.', s.culprit)
            WHEN s.hidden > 0 THEN format('GRANT pg_read_all_stats TO %I; shows them to these checks.', current_user) END
    FROM (SELECT t.age, t.culprit, (SELECT count(*) FROM pg_stat_activity a
                WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.query = '<insufficient privilege>') AS hidden
        FROM (VALUES (1)) one LEFT JOIN LATERAL (
            SELECT clock_timestamp() - a.xact_start AS age, format('Look at process %s (%s), %s', a.pid, a.application_name, a.state) AS culprit
            FROM pg_stat_activity a WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
                AND a.xact_start IS NOT NULL
            UNION ALL
            SELECT clock_timestamp() - x.prepared, format('Look at the prepared transaction %L', x.gid)
            FROM pg_prepared_xacts x WHERE x.database = current_database()
            ORDER BY age DESC LIMIT 1) t ON true) s;

    -- These tables are written every second, and are meant to stay within a few pages.
    RETURN QUERY
    SELECT 'vacuum', CASE WHEN s.off OR s.bloated THEN 'warn' ELSE 'ok' END,
        CASE WHEN s.off THEN 'autovacuum is off; ' ELSE '' END || 'dead rows: ' || s.dead,
        CASE WHEN s.off THEN 'Turn autovacuum on: the tables of this schema are updated all the time.'
            WHEN s.bloated THEN 'Autovacuum does not keep up: look at long transactions, replication slots and its workers.' END
    FROM (SELECT current_setting('autovacuum') = 'off' AS off, bool_or(t.n_dead_tup > 10 * t.n_live_tup + 10000) AS bloated,
            string_agg(format('%s %s', t.relname, t.n_dead_tup), ', ' ORDER BY t.relname) AS dead
        FROM pg_stat_all_tables t WHERE t.schemaname = 'public' AND t.relname IN ('heads', 'presence', 'replicas')) s;

    -- Replicas keep 100,000 events of a project at most, however young they are.
    RETURN QUERY
    SELECT 'log', CASE WHEN s.longest > 120000 THEN 'warn' ELSE 'ok' END, format('the longest has %s events', s.longest),
        CASE WHEN s.longest > 120000 THEN 'Trimming lags: look for "clean up events" in the logs.' END
    FROM (SELECT coalesce(max(h.version - h.log_floor), 0) AS longest FROM public.heads h) s;

    -- Leases that expired are the matter of another check, as long as their people go with them.
    RETURN QUERY
    SELECT 'presence', CASE WHEN s.lost > 0 THEN 'warn' ELSE 'ok' END,
        format('%s connections', s.n) || CASE WHEN s.lost > 0 THEN format(', %s of them overdue', s.lost) ELSE '' END,
        CASE WHEN s.lost > 0 THEN 'They are not in layercake.who; a live replica should have removed them. Look at the logs.' END
    FROM (SELECT count(*) AS n, count(*) FILTER (WHERE r.expires_at < statement_timestamp() - interval '10 s'
            OR p.expires_at < statement_timestamp() - interval '1 min') AS lost -- the latter are guests
        FROM public.presence p LEFT JOIN public.replicas r ON r.incarnation = p.incarnation) s;

    RETURN QUERY
    SELECT 'commands', CASE WHEN s.ids IS NOT NULL THEN 'warn' ELSE 'ok' END,
        coalesce('nobody acted on ' || s.ids, 'all acted on'),
        CASE WHEN s.ids IS NOT NULL THEN 'Look whether their replicas live and reach the database, then command again.' END
    FROM (SELECT string_agg(format('%s (%s)', c.id, c.kind), ', ' ORDER BY c.id) AS ids
        FROM public.commands c
        WHERE c.acted_at IS NULL AND c.at BETWEEN statement_timestamp() - interval '1 hour' AND statement_timestamp() - interval '5 s'
            -- Of drains and undrains only the last counts.
            AND NOT EXISTS (SELECT FROM public.commands l WHERE l.incarnation = c.incarnation AND l.id > c.id
                AND l.kind IN ('drain', 'undrain') AND c.kind IN ('drain', 'undrain'))) s;

    -- A stream that is open takes its messages at once. What nobody takes is removed after a minute, by the next message or by the clean-up.
    RETURN QUERY
    SELECT 'inbox', CASE WHEN s.late > 0 OR s.oldest > interval '1 hour' THEN 'warn' ELSE 'ok' END,
        format('%s messages to agents wait', s.n)
            || CASE WHEN s.late > 0 THEN format(', %s of them for longer than 10 s although their streams are open', s.late)
                WHEN s.oldest > interval '1 hour' THEN ', the oldest for ' || date_trunc('second', s.oldest) ELSE '' END,
        CASE WHEN s.late > 0 THEN 'A replica does not look into its inbox: look for "messages" in its log.'
            WHEN s.oldest > interval '1 hour' THEN 'The clean-up lags: look for "clean up" in the logs.' END
    FROM (SELECT count(*) AS n, max(statement_timestamp() - m.at) AS oldest,
            count(*) FILTER (WHERE m.key = '' AND m.at < statement_timestamp() - interval '10 s'
                AND r.expires_at > statement_timestamp()) AS late
        FROM public.mcp_inbox m JOIN public.mcp_sessions e ON e.id = m.session_id
        LEFT JOIN public.replicas r ON r.incarnation = e.stream_replica) s;

    -- What waits for its inputs waits as long as one of its project is built.
    RETURN QUERY
    SELECT 'builds', CASE WHEN s.late > 0 OR s.given_up > 0 THEN 'warn' ELSE 'ok' END,
        format('%s under way, %s wait', s.claimed, s.waiting)
            || CASE WHEN s.late > 0 THEN format(', %s of them for longer than a minute', s.late) ELSE '' END
            || CASE WHEN s.given_up > 0 THEN format('; %s given up within the last hour', s.given_up) ELSE '' END,
        CASE WHEN s.late > 0 THEN 'No replica takes them: look whether LAYERCAKE_BUILDS is 0 everywhere, or all builds are busy, and at the logs.'
            WHEN s.given_up > 0 THEN 'Their machine or the database failed three times: layercake.builds says how, the logs of their replicas why.' END
    FROM (SELECT count(k.graph_id) AS claimed, count(*) FILTER (WHERE b.finished_at IS NULL AND k.graph_id IS NULL) AS waiting,
            count(*) FILTER (WHERE b.finished_at IS NULL AND coalesce(b.retry_at, b.requested_at) < statement_timestamp() - interval '1 min'
                AND NOT EXISTS (SELECT FROM public.claims o WHERE o.project_id = b.project_id)) AS late,
            count(*) FILTER (WHERE b.state = 'error' AND b.attempt >= 3) AS given_up
        FROM public.builds b LEFT JOIN public.claims k ON k.graph_id = b.graph_id AND b.finished_at IS NULL
        WHERE b.finished_at IS NULL OR b.finished_at > statement_timestamp() - interval '1 hour') s;

    -- What nothing refers to goes 10 minutes after it was last touched.
    RETURN QUERY
    SELECT 'storage', CASE WHEN s.forgotten > 0 THEN 'warn' ELSE 'ok' END,
        format('graphs %s, files %s', pg_size_pretty(s.graphs), pg_size_pretty(s.files))
            || CASE WHEN s.forgotten > 0
                THEN format(', %s of them in %s graphs and files that nothing refers to', pg_size_pretty(s.bytes), s.forgotten) ELSE '' END,
        CASE WHEN s.forgotten > 0 THEN 'The clean-up lags: look for "clean up" with contents or files in the logs.' END
    FROM (SELECT coalesce(sum(o.bytes) FILTER (WHERE o.graph), 0) AS graphs, coalesce(sum(o.bytes) FILTER (WHERE NOT o.graph), 0) AS files,
            count(*) FILTER (WHERE o.forgotten) AS forgotten, coalesce(sum(o.bytes) FILTER (WHERE o.forgotten), 0) AS bytes
        FROM (SELECT true AS graph, c.bytes, c.touched_at < statement_timestamp() - interval '1 hour'
                AND NOT EXISTS (SELECT FROM public.graphs g WHERE g.content_id = c.id)
                AND NOT EXISTS (SELECT FROM public.claims k WHERE k.content_id = c.id) AS forgotten
            FROM public.contents c
            UNION ALL
            SELECT false, f.size, f.touched_at < statement_timestamp() - interval '1 hour'
                AND NOT EXISTS (SELECT FROM public.data_sources d WHERE d.file_id = f.id)
            FROM public.files f) o) s;
END $$;
COMMENT ON FUNCTION layercake.check_health() IS 'The rows of layercake.health. Whoever may read the view may call it.';

CREATE OR REPLACE VIEW layercake.health AS SELECT c."check", c.status, c.detail, c.advice FROM layercake.check_health() c;
COMMENT ON VIEW layercake.health IS 'Is everything well? One row a check. `layercake doctor` and /health?verbose show the same.';
COMMENT ON COLUMN layercake.health.check IS 'What was checked.';
COMMENT ON COLUMN layercake.health.status IS 'ok, warn (look at it) or fail (it does not work).';
COMMENT ON COLUMN layercake.health.detail IS 'What was found.';
COMMENT ON COLUMN layercake.health.advice IS 'What to do about it; null when there is nothing to do.';
