-- For a superuser, in our database, before `instant migrate`. It may be repeated, also on a database of an earlier version.
-- instant_owner owns the tables and migrates; instant_app is for doors, executors and flows, and becomes instant_creator,
-- which cannot log in, for the length of a creator's request.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('CREATE ROLE %I LOGIN', name)
        FROM unnest(ARRAY['instant_owner', 'instant_app']) AS name
        WHERE to_regrole(name) IS NULL
        UNION ALL
        SELECT 'CREATE ROLE instant_creator NOLOGIN' WHERE to_regrole('instant_creator') IS NULL
        UNION ALL
        SELECT 'GRANT instant_creator TO instant_app'
        UNION ALL
        SELECT format(one, current_database())
        FROM unnest(ARRAY[
            'ALTER DATABASE %I OWNER TO instant_owner',
            'REVOKE ALL ON DATABASE %I FROM PUBLIC',
            'GRANT CONNECT ON DATABASE %I TO instant_app'
        ]) AS one
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO instant_owner', pg_class.oid::regclass)
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
            -- Giving a table to its owner once more would still make everybody wait who uses it.
            AND relowner::regrole::text IS DISTINCT FROM 'instant_owner'
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO instant_owner', pg_proc.oid::regprocedure)
        -- Functions of an extension stay with it.
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND proowner::regrole::text IS DISTINCT FROM 'instant_owner'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO instant_owner;
GRANT USAGE ON SCHEMA public TO instant_app, instant_creator;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO instant_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO instant_app;
ALTER DEFAULT PRIVILEGES FOR ROLE instant_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO instant_app;
ALTER DEFAULT PRIVILEGES FOR ROLE instant_owner IN SCHEMA public GRANT USAGE ON SEQUENCES TO instant_app;
