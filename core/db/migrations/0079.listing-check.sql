-- depends: 0078.listing
-- What lists, offers and the database say of a product is compared every night, as a stranger sees it.

ALTER TABLE resources ADD COLUMN listing_difference jsonb;
COMMENT ON COLUMN resources.listing_difference IS 'How lists and the live offer differed at the last look: a code, and what each said; NULL: they agreed.';

DROP TRIGGER resource_changed ON resources;
CREATE TRIGGER resource_changed BEFORE UPDATE ON resources FOR EACH ROW
WHEN (
    to_jsonb(OLD) - '{names,words,recent_calls,shielded_calls,withheld_calls,listing_difference}'::text[]
    IS DISTINCT FROM
    to_jsonb(NEW) - '{names,words,recent_calls,shielded_calls,withheld_calls,listing_difference}'::text[]
)
EXECUTE FUNCTION count_revision();

-- The rules that there are, and one more.
DO $$
DECLARE
    all_rules text;
BEGIN
    SELECT string_agg(DISTINCT quote_literal(matched[1]), ', ') INTO all_rules
    FROM pg_constraint,
        regexp_matches(pg_get_constraintdef(pg_constraint.oid) || '''listing_differs''', '''([a-z_]+)''', 'g') AS matched
    WHERE conname = 'notices_rule_check';
    ALTER TABLE notices DROP CONSTRAINT notices_rule_check;
    EXECUTE format('ALTER TABLE notices ADD CONSTRAINT notices_rule_check CHECK (rule IN (%s))', all_rules);
END $$;
