-- depends: 0008.answers
-- What one prompt may cost its creator in a day.

ALTER TABLE resources ADD COLUMN daily_spend_cap_usd numeric CHECK (daily_spend_cap_usd >= 0);
COMMENT ON COLUMN resources.daily_spend_cap_usd IS 'What its creator allows this prompt alone to spend on models in one UTC day, within the account''s cap; NULL: no cap of its own.';

CREATE TABLE resource_spend_days (
    resource_id  uuid NOT NULL REFERENCES resources,
    day          date NOT NULL,
    reserved_usd numeric NOT NULL DEFAULT 0 CHECK (reserved_usd >= 0),
    spent_usd    numeric NOT NULL DEFAULT 0 CHECK (spent_usd >= 0),
    PRIMARY KEY (resource_id, day)
);
COMMENT ON TABLE resource_spend_days IS 'The share of each resource in its creator''s spend_days. Written by a trigger so that no path can forget it, and always after the spend_days row is locked.';

CREATE FUNCTION count_resource_spend() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sold uuid;
BEGIN
    SELECT resource_versions.resource_id INTO sold
    FROM executions JOIN resource_versions ON resource_versions.id = executions.version_id
    WHERE executions.id = NEW.execution_id;
    IF TG_OP = 'UPDATE' THEN
        UPDATE resource_spend_days
        SET reserved_usd = reserved_usd - CASE WHEN OLD.released_at IS NULL THEN OLD.reserved_usd ELSE 0 END,
            spent_usd = spent_usd - coalesce(OLD.spent_usd, 0)
        WHERE resource_id = sold AND day = OLD.day;
    END IF;
    INSERT INTO resource_spend_days AS spend (resource_id, day, reserved_usd, spent_usd)
    VALUES (
        sold, NEW.day, CASE WHEN NEW.released_at IS NULL THEN NEW.reserved_usd ELSE 0 END, coalesce(NEW.spent_usd, 0)
    )
    ON CONFLICT (resource_id, day) DO UPDATE
    SET reserved_usd = spend.reserved_usd + excluded.reserved_usd, spent_usd = spend.spent_usd + excluded.spent_usd;
    RETURN NULL;
END $$;
CREATE TRIGGER resource_spend AFTER INSERT OR UPDATE ON reservations
    FOR EACH ROW EXECUTE FUNCTION count_resource_spend();

-- What a running shop has reserved and spent so far.
INSERT INTO resource_spend_days (resource_id, day, reserved_usd, spent_usd)
SELECT resource_versions.resource_id, reservations.day,
    coalesce(sum(reservations.reserved_usd) FILTER (WHERE reservations.released_at IS NULL), 0),
    coalesce(sum(reservations.spent_usd), 0)
FROM reservations
JOIN executions ON executions.id = reservations.execution_id
JOIN resource_versions ON resource_versions.id = executions.version_id
GROUP BY resource_versions.resource_id, reservations.day;
