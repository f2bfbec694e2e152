-- Functions of this schema are for operators, those that grant for the owner, and none for everybody.
CREATE OR REPLACE FUNCTION layercake.grant_reader(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA layercake TO %s', role); -- a regrole is quoted where it needs to be
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA layercake TO %s', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION layercake.check_health() TO %s', role); -- the view health calls it for its reader
END $$;
COMMENT ON FUNCTION layercake.grant_reader(regrole) IS 'Lets a role read all views of this schema, and nothing else. For the owner; call it again after an upgrade.';

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
