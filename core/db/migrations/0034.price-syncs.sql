-- depends: 0033.day-reports
-- A call that fails because its model got dearer asks for a sync of the catalog.

CREATE TABLE price_syncs (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    asked_at timestamptz,
    began_at timestamptz
);
INSERT INTO price_syncs DEFAULT VALUES;
COMMENT ON TABLE price_syncs IS 'One row, which decides for all processes when a sync begins that failed calls asked for.';
COMMENT ON COLUMN price_syncs.asked_at IS 'When the first call failed for its price since the last such sync. NULL: never.';
COMMENT ON COLUMN price_syncs.began_at IS 'When the last such sync began. NULL: never.';
