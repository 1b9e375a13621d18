-- depends: 0050.key-rotation
-- A creator sees how each key stands, what happened to it, and how much it was used.

ALTER TABLE provider_keys ADD COLUMN limit_usd numeric, ADD COLUMN limit_reset text;
COMMENT ON COLUMN provider_keys.limit_usd IS 'The key''s own spend limit, as last told; NULL without one, or if its provider does not tell.';
COMMENT ON COLUMN provider_keys.limit_reset IS 'How often that limit starts anew: daily, weekly or monthly; NULL if never, or if its provider does not tell.';

CREATE TABLE key_events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    provider   text NOT NULL,
    event      text NOT NULL CHECK (event IN (
        'set', 'connected', 'imported', 'enabled', 'disabled', 'rejected', 'deleted'
    )),
    actor      text NOT NULL CHECK (actor IN ('creator', 'operator', 'provider')),
    label      text NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE key_events IS 'What happened to creators'' provider keys, never changed. The label is the masked key.';
CREATE INDEX key_events_of_account ON key_events (account_id, provider, id);

CREATE TABLE key_uses (
    account_id   uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    provider     text NOT NULL,
    day          date NOT NULL,
    key_id       uuid NOT NULL,
    label        text NOT NULL,
    calls        bigint NOT NULL CHECK (calls > 0),
    last_used_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, provider, day, key_id)
);
COMMENT ON TABLE key_uses IS 'How many calls each key was opened for, by UTC day. A row per call would say no more than executions do.';

DO $$
DECLARE
    of_table text;
BEGIN
    FOREACH of_table IN ARRAY ARRAY['key_events', 'key_uses'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', of_table);
        EXECUTE format('CREATE POLICY everybody ON %I TO instant_app USING (true)', of_table);
        EXECUTE format(
            'CREATE POLICY creator ON %I TO instant_creator USING (account_id = (SELECT acting_account()))', of_table
        );
    END LOOP;
END $$;
GRANT SELECT, INSERT ON key_events TO instant_creator;
GRANT SELECT ON key_uses TO instant_creator;

CREATE FUNCTION served_by(sold resources) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT models.served_by FROM resource_versions JOIN models ON models.id = resource_versions.model_id
    WHERE resource_versions.id = sold.version_id
$$;
COMMENT ON FUNCTION served_by IS 'The provider that a resource on sale is called at, so on whose key; NULL if it is not on sale.';

ALTER TABLE notices DROP CONSTRAINT notices_rule_check;
ALTER TABLE notices ADD CONSTRAINT notices_rule_check CHECK (rule IN (
    'success_low', 'failures_charged', 'cost_unusual', 'calls_unusual', 'key_failing', 'key_low', 'key_old',
    'chain_differs', 'refunds_repeated', 'model_leaving', 'payout_changing'
));
