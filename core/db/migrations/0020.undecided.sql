-- depends: 0019.outcome-codes
-- Undecided payments: bounded for each wallet, looked at with growing pauses, and no part of a creator's queue.

ALTER TABLE payments ADD COLUMN settles integer NOT NULL DEFAULT 1 CHECK (settles > 0);
ALTER TABLE payments ADD COLUMN looks integer NOT NULL DEFAULT 0 CHECK (looks >= 0);
ALTER TABLE payments ADD COLUMN look_at timestamptz;
COMMENT ON COLUMN payments.settles IS 'How often a facilitator was asked to settle it; counted before each request, so it never understates.';
COMMENT ON COLUMN payments.looks IS 'How often recovery has looked it up on the chain since it became unknown; each pause is twice the one before.';
COMMENT ON COLUMN payments.look_at IS 'When recovery, in whichever process, looks it up next; NULL: at once.';

DROP INDEX payments_undecided;
CREATE INDEX payments_undecided ON payments (payer) WHERE state IN ('settling', 'unknown');
CREATE INDEX payments_transaction ON payments (transaction) WHERE transaction IS NOT NULL;

CREATE FUNCTION count_undecided(wallet text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (SELECT count(*) FROM payments WHERE payer = wallet AND state IN ('settling', 'unknown'))
$$;
COMMENT ON FUNCTION count_undecided IS 'How many payments of a wallet are neither paid nor failed.';

CREATE FUNCTION count_waiting(account uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (SELECT count(*) FROM executions WHERE account_id = account AND state IN ('queued', 'running'))
$$;
COMMENT ON FUNCTION count_waiting IS 'How many executions a creator''s queue limit counts. Held ones are not paid yet, and may never be.';
COMMENT ON COLUMN accounts.queue_limit IS 'How many executions may be queued or running before the offer is withdrawn (503 before any payment).';

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
        (SELECT coalesce(jsonb_object_agg(network, address), '{}') FROM payout_addresses
         WHERE payout_addresses.account_id = account.id)
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
