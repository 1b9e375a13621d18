-- depends: 0079.listing-check
-- What each product was on offer as, and since when: its price history.

CREATE TABLE resource_offers (
    resource_id uuid NOT NULL REFERENCES resources ON DELETE CASCADE,
    version_id  uuid NOT NULL REFERENCES resource_versions ON DELETE CASCADE,
    offered_at  timestamptz NOT NULL,
    PRIMARY KEY (resource_id, offered_at)
);
COMMENT ON TABLE resource_offers IS 'Each change of what a product is sold as, also a return to an older version. A trigger writes it, and nobody else can.';
INSERT INTO resource_offers (resource_id, version_id, offered_at)
SELECT DISTINCT ON (resource_id, offered_at) resource_id, id, offered_at FROM resource_versions
WHERE offered_at IS NOT NULL
ORDER BY resource_id, offered_at, number DESC;

-- Policies for reading alone: a row that somebody inserts or changes is refused, whatever was granted.
ALTER TABLE resource_offers ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON resource_offers FOR SELECT TO instant_app USING (true);
CREATE POLICY creator ON resource_offers FOR SELECT TO instant_creator
    USING (EXISTS (SELECT FROM resources WHERE resources.id = resource_id));
GRANT SELECT ON resource_offers TO instant_creator;

CREATE FUNCTION note_offer() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO resource_offers (resource_id, version_id, offered_at) VALUES (NEW.id, NEW.version_id, clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER offered AFTER INSERT ON resources
    FOR EACH ROW WHEN (NEW.version_id IS NOT NULL) EXECUTE FUNCTION note_offer();
CREATE TRIGGER offered_anew AFTER UPDATE OF version_id ON resources
    FOR EACH ROW WHEN (NEW.version_id IS NOT NULL AND NEW.version_id IS DISTINCT FROM OLD.version_id)
    EXECUTE FUNCTION note_offer();

-- A product's numbers are read by anybody who looks at it.
CREATE INDEX usage_rollup_version ON usage_rollup (version_id, span, starts_at);
