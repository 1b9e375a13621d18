-- depends: 0039.description-words
-- A creator's request runs as instant_creator, which owns nothing and sees only the rows of the account that it acts for.

CREATE FUNCTION acting_account() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CAST(nullif(current_setting('instant.account_id', true), '') AS uuid)
$$;
COMMENT ON FUNCTION acting_account IS 'The account that this transaction acts for; NULL outside a creator''s request.';

-- instant_app serves buyers, runs executions and counts, for all accounts. It is a member of instant_creator, so both
-- policies are its own; rows that either lets through are seen.
DO $$
DECLARE
    policy record;
BEGIN
    FOR policy IN
        SELECT * FROM (VALUES
            ('accounts', 'id = (SELECT acting_account())'),
            ('api_tokens', 'account_id = (SELECT acting_account())'),
            ('payout_addresses', 'account_id = (SELECT acting_account())'),
            ('provider_keys', 'account_id = (SELECT acting_account())'),
            ('resources', 'account_id = (SELECT acting_account())'),
            ('executions', 'account_id = (SELECT acting_account())'),
            ('refunds', 'account_id = (SELECT acting_account())'),
            ('spend_days', 'account_id = (SELECT acting_account())'),
            ('reservations', 'account_id = (SELECT acting_account())'),
            ('usage_log', 'account_id = (SELECT acting_account())'),
            ('usage_rollup', 'account_id = (SELECT acting_account())'),
            ('notices', 'account_id = (SELECT acting_account())'),
            ('notice_addresses', 'account_id = (SELECT acting_account())'),
            ('resource_versions', 'EXISTS (SELECT FROM resources WHERE resources.id = resource_id)'),
            ('resource_spend_days', 'EXISTS (SELECT FROM resources WHERE resources.id = resource_id)'),
            ('refundable_failures', 'EXISTS (SELECT FROM resources WHERE resources.id = resource_id)'),
            ('repriced_versions', 'EXISTS (SELECT FROM resource_versions WHERE resource_versions.id = version_id)'),
            ('attempts', 'EXISTS (SELECT FROM executions WHERE executions.id = execution_id)'),
            ('sends', 'EXISTS (SELECT FROM executions WHERE executions.id = execution_id)'),
            ('payments', 'EXISTS (SELECT FROM executions WHERE executions.payment_id = payments.id)'),
            ('notice_deliveries', 'EXISTS (SELECT FROM notices WHERE notices.id = notice_id)')
        ) AS policy (of_table, condition)
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', policy.of_table);
        EXECUTE format('CREATE POLICY everybody ON %I TO instant_app USING (true)', policy.of_table);
        EXECUTE format('CREATE POLICY creator ON %I TO instant_creator USING (%s)', policy.of_table, policy.condition);
    END LOOP;
END $$;

-- What belongs to nobody.
GRANT SELECT ON models, model_history, catalog_syncs, networks, usage_dirty, usage_dropped TO instant_creator;
-- What the engine writes about a creator.
GRANT SELECT ON attempts, sends, payments, refunds, usage_log, usage_rollup, repriced_versions, notices,
    notice_deliveries, refundable_failures TO instant_creator;
-- What a creator's own request writes; a test run is an execution that reserves its cost.
GRANT SELECT, INSERT, UPDATE ON accounts, resources, resource_versions, executions, spend_days, resource_spend_days,
    reservations TO instant_creator;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_tokens, payout_addresses, provider_keys, notice_addresses
    TO instant_creator;

-- An estimate learns from the calls of all creators how many characters are a token.
CREATE FUNCTION calls_by_tokenizer(of_tokenizer text) RETURNS TABLE (
    latin_characters integer, other_characters integer, input_tokens integer, output_tokens integer,
    max_output_tokens integer, prompt_usd numeric, completion_usd numeric, request_usd numeric
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH newest AS (
        SELECT execution_id, round, version_id FROM usage_log
        WHERE outcome = 'succeeded' AND created_at > now() - interval '30 days'
        ORDER BY created_at DESC
        LIMIT 10000
    )
    SELECT sent.latin_characters, sent.other_characters, sent.input_tokens, sent.output_tokens, version.max_output_tokens,
        model.prompt_usd, model.completion_usd, coalesce(model.request_usd, 0) AS request_usd
    FROM newest
    JOIN sends AS sent USING (execution_id, round)
    JOIN resource_versions AS version ON version.id = newest.version_id
    JOIN models AS model ON model.id = coalesce(sent.model_id, version.model_id)
    WHERE model.raw #>> '{architecture,tokenizer}' = of_tokenizer AND sent.outcome = 'succeeded'
        AND sent.latin_characters + sent.other_characters > 0 AND sent.input_tokens > 0 AND sent.output_tokens IS NOT NULL
        AND model.prompt_usd IS NOT NULL AND model.completion_usd IS NOT NULL AND NOT 'image' = ANY(model.output_modalities)
    LIMIT 500
$$;
COMMENT ON FUNCTION calls_by_tokenizer IS 'Lengths and tokens of the last answered calls to models with a tokenizer, of the newest 10,000 of all creators; not whose they were. A cached answer has no tokens.';

CREATE FUNCTION logged_picture_tokens(of_model text) RETURNS bigint[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE WHEN sum(calls) >= 20 THEN ARRAY[min(output_tokens / calls), max(output_tokens / calls)] END
    FROM usage_rollup
    JOIN resource_versions AS version ON version.id = usage_rollup.version_id
    WHERE version.model_id = of_model AND version.modality = 'image' AND usage_rollup.span = 'day'
        AND starts_at > now() - interval '60 days' AND calls = succeeded AND calls = sends AND output_tokens > 0
$$;
COMMENT ON FUNCTION logged_picture_tokens IS 'The least and the most tokens of a picture of a model: averages of days on which nothing but answers came, of all creators. NULL without 20 calls.';

CREATE FUNCTION hold_prices() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    LOCK TABLE models IN ROW EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION hold_prices IS 'No sync changes a price until this transaction ends. A creator may do so who may not write models.';
