-- For a superuser, in Prefect's database. It may be repeated, also on a database of an earlier version.
-- Prefect migrates its own database, so its role owns it, and nothing of ours.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT 'CREATE ROLE prefect LOGIN' WHERE to_regrole('prefect') IS NULL
        UNION ALL
        SELECT format(one, current_database())
        FROM unnest(ARRAY['ALTER DATABASE %I OWNER TO prefect', 'REVOKE ALL ON DATABASE %I FROM PUBLIC']) AS one
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO prefect', pg_class.oid::regclass)
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO prefect', pg_type.oid::regtype)
        FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
        UNION ALL
        -- Functions of an extension stay with it.
        SELECT format('ALTER ROUTINE %s OWNER TO prefect', pg_proc.oid::regprocedure)
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO prefect;
