-- Functions of this schema are for operators, those that grant for the owner, and none for everybody. Those that show the past of plans show
-- no more than plan_history, and so are for readers, too.
CREATE OR REPLACE FUNCTION layercake.grant_reader(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA layercake TO %s', role); -- a regrole is quoted where it needs to be
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA layercake TO %s', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION layercake.check_health() TO %s', role); -- the view health calls it for its reader
    EXECUTE format('GRANT EXECUTE ON FUNCTION layercake.plan_at(integer, bigint), layercake.plan_at(integer, timestamptz),
        layercake.plan_diff(integer, bigint, bigint), layercake.verify_plan(integer) TO %s', role);
END $$;
COMMENT ON FUNCTION layercake.grant_reader(regrole) IS 'Lets a role read all views of this schema, and call what only reads: plan_at, plan_diff, verify_plan. For the owner; call it again after an upgrade.';

CREATE OR REPLACE FUNCTION layercake.grant_operator(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command regprocedure;
BEGIN
    PERFORM layercake.grant_reader(role);
    FOR command IN
        SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'layercake'::regnamespace AND NOT starts_with(p.proname, 'grant_')
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', command, role);
    END LOOP;
END $$;
COMMENT ON FUNCTION layercake.grant_operator(regrole) IS 'Lets a role read all views of this schema and give commands. For the owner; call it again after an upgrade.';

REVOKE ALL ON ALL ROUTINES IN SCHEMA layercake FROM PUBLIC;
