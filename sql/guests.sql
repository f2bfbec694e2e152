-- Waits until nobody else makes a guest for one of these makers; others wait until this transaction ends. The locks are private rows,
-- which UpsertGuest removes: an advisory lock could be held by any role of the database. All callers go before all networks, so that no
-- two transactions wait for each other.
-- name: LockGuestMakers :exec
INSERT INTO guest_makers (maker) SELECT m.maker FROM unnest(@makers::text[]) WITH ORDINALITY AS m (maker, place) ORDER BY m.place;

-- A guest joins, or joins again as another user, and stays for a while. No row: the project does not exist. Reached is the limit that
-- refused it, if one did. Those of the maker are exact, because the transaction holds its locks and removes their rows. Others who join the
-- project at the same moment are not counted yet, so its limit may be exceeded by as many as there are connections. Revisions follow the
-- clock, so that they go up also when the row was gone in between. A guest that left and is back within a minute of when it joined goes on
-- with its visit: otherwise it would write a row each time. One that was kicked begins another, so that a replica that is late to act on the
-- command can tell it from the one that was to go. Without a document a guest stays where it was.
-- name: UpsertGuest :one
WITH locks AS (
    DELETE FROM guest_makers WHERE maker = ANY (@makers::text[])
), room AS (
    SELECT CASE
        WHEN (SELECT count(*) FROM presence e WHERE e.project_id = p.id AND e.connection_id <> @connection_id) >= @most::bigint
            THEN 'project'
        WHEN (SELECT count(*) FROM presence e WHERE e.caller = @caller::text AND e.connection_id <> @connection_id) >= @most_of_caller::bigint
            THEN 'caller'
        WHEN @most_of_network::bigint > 0
            AND (SELECT count(*) FROM presence e WHERE e.network = @network::text AND e.connection_id <> @connection_id) >= @most_of_network
            THEN 'network'
        ELSE '' END AS reached
    FROM projects p WHERE p.id = @project_id
), guest AS (
    INSERT INTO presence (connection_id, project_id, revision, user_id, user_name, avatar_color, is_agent, transport, caller, network,
        document_id, document_type, position, selected_node_id, document_at, joined_at, active_at, expires_at)
    SELECT @connection_id, @project_id, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, @user_id, @user_name, @avatar_color,
        @is_agent, @transport, @caller::text, @network::text, nullif(@document_id::text, ''), nullif(@document_type::text, ''),
        nullif(@position::text, '')::json, nullif(@selected_node_id::text, ''), CASE WHEN @document_id <> '' THEN now() END, coalesce((
            SELECT max(l.joined_at) FROM presence_log l
            WHERE l.connection_id = @connection_id AND l.joined_at > now() - make_interval(secs => @visit_seconds)
                AND l.reason IS DISTINCT FROM 'kicked'
        ), now()), now(), now() + make_interval(secs => @ttl_seconds)
    FROM room WHERE room.reached = ''
    ON CONFLICT (connection_id) DO UPDATE
    SET revision = greatest(presence.revision + 1, excluded.revision), user_id = excluded.user_id, user_name = excluded.user_name,
        avatar_color = excluded.avatar_color, is_agent = excluded.is_agent, transport = excluded.transport, caller = excluded.caller,
        network = excluded.network, active_at = excluded.active_at, expires_at = excluded.expires_at,
        document_id = coalesce(excluded.document_id, presence.document_id),
        document_type = coalesce(excluded.document_type, presence.document_type),
        position = CASE WHEN excluded.document_id IS NULL THEN presence.position ELSE excluded.position END,
        selected_node_id = CASE WHEN excluded.document_id IS NULL THEN presence.selected_node_id ELSE excluded.selected_node_id END,
        document_at = coalesce(excluded.document_at, presence.document_at)
    RETURNING revision, document_id, document_type, position, selected_node_id, document_at, joined_at, active_at
), visit AS (
    INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent)
    SELECT @connection_id, g.joined_at, @incarnation, @project_id, @user_id, @user_name, @is_agent FROM guest g
    ON CONFLICT (connection_id, joined_at) DO UPDATE
    SET user_id = excluded.user_id, user_name = excluded.user_name, is_agent = excluded.is_agent, left_at = NULL, reason = NULL
)
SELECT room.reached, guest.revision, guest.document_id, guest.document_type, guest.position, guest.selected_node_id, guest.document_at,
    guest.joined_at, guest.active_at
FROM room LEFT JOIN guest ON true;

-- Renews guests who did something, and puts those with a document there. Guests whose row is gone do not come back. A row that several
-- replicas write at once is locked in one order, so that they wait for each other in one direction only. Entered: the guest was in
-- another document before, or in none.
-- name: UpdateGuests :many
WITH seen AS (
    SELECT unnest(@connection_ids::uuid[]) AS connection_id, unnest(@document_ids::text[]) AS document_id,
        unnest(@document_types::text[]) AS document_type, unnest(@positions::text[]) AS position,
        unnest(@selected_node_ids::text[]) AS selected_node_id
), before AS (
    SELECT b.connection_id, b.document_id, b.document_type FROM presence b
    WHERE b.connection_id = ANY (@connection_ids::uuid[]) AND b.expires_at IS NOT NULL
    ORDER BY b.connection_id FOR UPDATE
)
UPDATE presence p
SET revision = p.revision + 1, active_at = now(), expires_at = now() + make_interval(secs => @ttl_seconds),
    document_id = CASE WHEN s.document_id = '' THEN p.document_id ELSE s.document_id END,
    document_type = CASE WHEN s.document_id = '' THEN p.document_type ELSE s.document_type END,
    position = CASE WHEN s.document_id = '' THEN p.position ELSE nullif(s.position, '')::json END,
    selected_node_id = CASE WHEN s.document_id = '' THEN p.selected_node_id ELSE nullif(s.selected_node_id, '') END,
    document_at = CASE WHEN s.document_id = '' THEN p.document_at ELSE now() END
FROM seen s JOIN before b ON b.connection_id = s.connection_id
WHERE p.connection_id = s.connection_id
RETURNING p.connection_id, p.project_id, p.revision, p.user_id, p.user_name, p.avatar_color, p.is_agent, p.transport, p.joined_at, p.active_at,
    ((b.document_id, b.document_type) IS DISTINCT FROM (p.document_id, p.document_type))::boolean AS entered;

-- A guest leaves. No row: the project does not exist. No revision: the guest was not there.
-- name: DeleteGuest :one
WITH gone AS (
    DELETE FROM presence e WHERE e.connection_id = @connection_id AND e.expires_at IS NOT NULL
    RETURNING e.connection_id, e.joined_at, e.revision
), visit AS (
    UPDATE presence_log l SET left_at = greatest(l.joined_at, now()), reason = 'left'
    FROM gone g WHERE l.connection_id = @connection_id AND l.joined_at = g.joined_at
)
SELECT gone.revision FROM projects p LEFT JOIN gone ON true WHERE p.id = @project_id;

-- Removes guests who expired. A guest who is renewed at this moment is left alone. The index of expiries serves only statements that say
-- that the expiry is after the beginning of time. A list of connections, and the places of visits in their table, leave the planner no way
-- to join with everybody, or with all visits.
-- name: ReapGuests :many
WITH gone AS (
    DELETE FROM presence e WHERE e.connection_id = ANY (ARRAY(
        SELECT o.connection_id FROM presence o WHERE o.expires_at > '-infinity' AND o.expires_at < now()
        ORDER BY o.expires_at LIMIT @most FOR UPDATE SKIP LOCKED
    )) RETURNING e.connection_id, e.joined_at, e.project_id, e.revision, e.expires_at
), visit AS (
    UPDATE presence_log l SET left_at = greatest(l.joined_at, g.expires_at), reason = 'expired'
    FROM gone g
    WHERE l.ctid = (SELECT o.ctid FROM presence_log o WHERE o.connection_id = g.connection_id AND o.joined_at = g.joined_at)
)
SELECT connection_id, project_id, revision FROM gone;

-- Removes the guest with an id, or all guests of a user, whom an operator kicks, unless they came back since: every replica acts on the
-- command.
-- name: KickGuests :many
WITH gone AS (
    DELETE FROM presence e WHERE e.connection_id IN (
        SELECT o.connection_id FROM presence o
        WHERE (o.connection_id = sqlc.narg(connection_id)::uuid OR o.user_id = sqlc.narg(user_id)::text)
            AND o.expires_at IS NOT NULL AND o.joined_at <= @commanded_at::timestamptz
        ORDER BY o.connection_id FOR UPDATE
    ) RETURNING e.connection_id, e.joined_at, e.project_id, e.revision
), visit AS (
    UPDATE presence_log l SET left_at = greatest(l.joined_at, now()), reason = 'kicked'
    FROM gone g WHERE l.connection_id = g.connection_id AND l.joined_at = g.joined_at
)
SELECT connection_id, project_id, revision FROM gone;

-- The guests of a project that is deleted go with it.
-- name: DeleteGuestsOfProject :exec
WITH gone AS (
    DELETE FROM presence e WHERE e.connection_id IN (
        SELECT o.connection_id FROM presence o WHERE o.project_id = @project_id AND o.expires_at IS NOT NULL
        ORDER BY o.connection_id FOR UPDATE
    ) RETURNING e.connection_id, e.joined_at
)
UPDATE presence_log l SET left_at = greatest(l.joined_at, now()), reason = 'project deleted'
FROM gone g
WHERE l.ctid = (SELECT o.ctid FROM presence_log o WHERE o.connection_id = g.connection_id AND o.joined_at = g.joined_at);
