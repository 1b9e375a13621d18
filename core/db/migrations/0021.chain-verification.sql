-- depends: 0020.undecided
-- A facilitator's word is verified on the chain afterwards. Nothing is sold on a network on which it proved wrong.

ALTER TABLE payments ADD COLUMN verification text NOT NULL DEFAULT 'not_asked' CHECK (
    verification IN ('not_asked', 'pending', 'agrees', 'transfer_missing', 'transfer_differs')
);
ALTER TABLE payments ALTER COLUMN verification SET DEFAULT 'pending';
ALTER TABLE payments ADD COLUMN verified_at timestamptz;
ALTER TABLE payments ADD CHECK ((verification IN ('not_asked', 'pending')) = (verified_at IS NULL));
COMMENT ON COLUMN payments.verification IS 'What the chain shows for a paid payment, some blocks after it was paid; not_asked: it was claimed before payments were verified, and `instant money check` compares it.';
COMMENT ON COLUMN payments.verified_at IS 'When the chain showed that.';
CREATE INDEX payments_unverified ON payments (network, decided_at, id) WHERE state = 'paid' AND verification = 'pending';
CREATE INDEX payments_differing ON payments (network, verified_at)
    WHERE verification IN ('transfer_missing', 'transfer_differs');

CREATE TABLE networks (
    id            text PRIMARY KEY,
    counted_since timestamptz NOT NULL DEFAULT '-infinity',
    paused_at     timestamptz
);
COMMENT ON TABLE networks IS 'The networks that were ever paused.';
COMMENT ON COLUMN networks.counted_since IS 'Differences found since then count: the operator has seen the earlier ones.';
COMMENT ON COLUMN networks.paused_at IS 'Since when nothing is sold on it; NULL: the operator resumed it.';

CREATE FUNCTION is_paused(network text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM networks WHERE networks.id = network AND paused_at IS NOT NULL)
$$;
COMMENT ON FUNCTION is_paused IS 'Whether nothing is sold on a network, because its facilitator told of payments that the chain does not show.';

CREATE FUNCTION count_differing(network_id text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (
        SELECT count(*) FROM payments
        WHERE network = network_id AND verification IN ('transfer_missing', 'transfer_differs')
            AND verified_at > coalesce((SELECT counted_since FROM networks WHERE id = network_id), '-infinity')
    )
$$;
COMMENT ON FUNCTION count_differing IS 'How many payments of a network the chain does not show as told, since the operator last resumed it.';

ALTER TABLE notices ALTER COLUMN account_id DROP NOT NULL;
COMMENT ON COLUMN notices.account_id IS 'The creator that it is about; NULL: it is about the installation, and only the operator is told.';
ALTER TABLE notices DROP CONSTRAINT notices_rule_check;
ALTER TABLE notices ADD CONSTRAINT notices_rule_check CHECK (rule IN (
    'success_low', 'failures_charged', 'cost_unusual', 'calls_unusual', 'key_failing', 'key_low', 'chain_differs'
));

CREATE OR REPLACE FUNCTION sale_state(absence_tolerated interval) RETURNS TABLE (
    version_id uuid, resource_id uuid, account_id uuid, handle text, slug text, number integer, title text,
    description text, modality text, model_id text, parameters jsonb, allows_user_message boolean,
    max_output_tokens integer, temperature numeric, timeout_seconds integer, price_atomic bigint,
    worst_cost_usd numeric, zdr boolean, sealed_template bytea, answer_schema text, supported_parameters text[],
    prompt_usd numeric, completion_usd numeric, request_usd numeric, archived boolean, allows_loss boolean,
    is_on_offer boolean, key_id uuid, sealed_key bytea, key_obstacle text,
    model_withdrawn boolean, is_certain_loss boolean, has_budget boolean, resource_has_budget boolean,
    has_room boolean, payouts jsonb
) LANGUAGE sql STABLE AS $$
    SELECT version.id, version.resource_id, resource.account_id, account.handle, resource.slug, version.number,
        version.title, version.description, version.modality, version.model_id, version.parameters,
        version.allows_user_message, version.max_output_tokens, version.temperature, version.timeout_seconds,
        version.price_atomic, coalesce(repriced.worst_cost_usd, version.worst_cost_usd), version.zdr,
        version.sealed_template, CAST(version.answer_schema AS text), model.supported_parameters, model.prompt_usd,
        model.completion_usd, model.request_usd, resource.archived_at IS NOT NULL, version.allows_loss,
        resource.version_id IS NOT DISTINCT FROM version.id,
        provider_key.id, provider_key.sealed_key, key_obstacle(provider_key),
        model_obstacle(model, absence_tolerated) IS NOT NULL,
        coalesce(repriced.is_certain_loss AND NOT version.allows_loss, false),
        coalesce(spend.reserved_usd + spend.spent_usd, 0) + coalesce(repriced.worst_cost_usd, version.worst_cost_usd)
            <= account.daily_spend_cap_usd,
        coalesce(
            coalesce(resource_spend.reserved_usd + resource_spend.spent_usd, 0)
                + coalesce(repriced.worst_cost_usd, version.worst_cost_usd)
                <= resource.daily_spend_cap_usd, true),
        coalesce(count_waiting(account.id) < account.queue_limit, false),
        (SELECT coalesce(jsonb_object_agg(network, CASE WHEN NOT is_paused(network) THEN address END), '{}')
         FROM payout_addresses WHERE payout_addresses.account_id = account.id)
    FROM resource_versions AS version
    JOIN resources AS resource ON resource.id = version.resource_id
    JOIN accounts AS account ON account.id = resource.account_id
    JOIN models AS model ON model.id = version.model_id
    LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
    LEFT JOIN provider_keys AS provider_key
        ON provider_key.account_id = account.id AND provider_key.provider = model.served_by
    LEFT JOIN spend_days AS spend
        ON spend.account_id = account.id AND spend.day = CAST(now() AT TIME ZONE 'UTC' AS date)
    LEFT JOIN resource_spend_days AS resource_spend
        ON resource_spend.resource_id = resource.id AND resource_spend.day = CAST(now() AT TIME ZONE 'UTC' AS date)
$$;
