-- depends: 0044.payout-changes
-- Creators keep drafts, change them without losing each other's changes, and repeat a request safely.

ALTER TABLE resources
    ADD COLUMN draft_id uuid REFERENCES resource_versions,
    ADD COLUMN revision integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN resources.version_id IS 'The version on offer now. NULL until one was published.';
COMMENT ON COLUMN resources.draft_id IS 'The version that its creator works on; NULL if that is the one on offer. Never sold.';
COMMENT ON COLUMN resources.revision IS 'Counts the changes of this row. Clients name it in If-Match, so that no change is lost.';

CREATE FUNCTION count_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    RETURN NEW;
END
$$;
CREATE TRIGGER resource_changed BEFORE UPDATE ON resources
FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION count_revision();

ALTER TABLE resource_versions
    ADD COLUMN offered_at timestamptz,
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 8),
    ADD COLUMN icon text CHECK (icon LIKE 'https://%'),
    ADD COLUMN example jsonb;
COMMENT ON COLUMN resource_versions.offered_at IS 'When it was first on offer; NULL: never, so nothing was ever quoted or sold of it.';
COMMENT ON COLUMN resource_versions.tags IS 'Words that buyers find it by.';
COMMENT ON COLUMN resource_versions.icon IS 'Address of a picture for lists; browsers fetch it, and nobody here.';
COMMENT ON COLUMN resource_versions.example IS 'Inputs and the answer to them, shown to buyers.';
-- Some of these were candidates of a switch and never on offer; nobody has a quote of such a version.
UPDATE resource_versions SET offered_at = created_at;

DROP FUNCTION sale_state;
CREATE FUNCTION sale_state(absence_tolerated interval) RETURNS TABLE (
    version_id uuid, resource_id uuid, account_id uuid, handle text, slug text, number integer, title text,
    description text, modality text, model_id text, parameters jsonb, allows_user_message boolean,
    max_output_tokens integer, temperature numeric, timeout_seconds integer, price_atomic bigint,
    worst_cost_usd numeric, zdr boolean, sealed_template bytea, answer_schema text, truncated_from_characters integer,
    reasoning_effort text, providers jsonb, fallbacks text[], alternatives jsonb, supported_parameters text[], output_modalities text[],
    prompt_usd numeric, completion_usd numeric, request_usd numeric, archived boolean, allows_loss boolean,
    tags text[], icon text, example jsonb, offered_at timestamptz,
    is_on_offer boolean, key_id uuid, sealed_key bytea, key_obstacle text,
    model_withdrawn boolean, is_certain_loss boolean, has_budget boolean, resource_has_budget boolean,
    has_room boolean, payouts jsonb
) LANGUAGE sql STABLE AS $$
    SELECT version.id, version.resource_id, resource.account_id, account.handle, resource.slug, version.number,
        version.title, version.description, version.modality, version.model_id, version.parameters,
        version.allows_user_message, version.max_output_tokens, version.temperature, version.timeout_seconds,
        version.price_atomic, coalesce(repriced.worst_cost_usd, version.worst_cost_usd), version.zdr,
        version.sealed_template, CAST(version.answer_schema AS text), version.truncated_from_characters,
        version.reasoning_effort, version.providers, version.fallbacks,
        (SELECT jsonb_agg(jsonb_build_object(
             'model', other.id, 'supported', other.supported_parameters, 'outputs', other.output_modalities,
             -- As text: JSON's numbers would be read as floating point.
             'prices', jsonb_build_object(
                 'prompt_usd', CAST(other.prompt_usd AS text), 'completion_usd', CAST(other.completion_usd AS text),
                 'request_usd', CAST(coalesce(other.request_usd, 0) AS text),
                 'tiers', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                      'above', long.prices -> 'above', 'prompt_usd', long.prices -> 'prompt_usd',
                      'completion_usd', long.prices -> 'completion_usd', 'request_usd', long.prices -> 'request_usd'
                  )), '[]')
                  FROM jsonb_array_elements(other.price_tiers) AS long (prices)))
             ) ORDER BY declared.place)
         FROM unnest(version.fallbacks) WITH ORDINALITY AS declared (id, place)
         JOIN models AS other ON other.id = declared.id
         WHERE model_obstacle(other, absence_tolerated) IS NULL AND takes_inputs(other, version.parameters)),
        model.supported_parameters, model.output_modalities, model.prompt_usd, model.completion_usd,
        model.request_usd, resource.archived_at IS NOT NULL, version.allows_loss,
        version.tags, version.icon, version.example, version.offered_at,
        resource.version_id IS NOT DISTINCT FROM version.id,
        provider_key.id, provider_key.sealed_key, key_obstacle(provider_key),
        coalesce(model_obstacle(model, absence_tolerated) IS NOT NULL OR NOT takes_inputs(model, version.parameters), true),
        coalesce(repriced.is_certain_loss AND NOT version.allows_loss, false),
        coalesce(spend.reserved_usd + spend.spent_usd, 0) + coalesce(repriced.worst_cost_usd, version.worst_cost_usd)
            <= account.daily_spend_cap_usd,
        coalesce(
            coalesce(resource_spend.reserved_usd + resource_spend.spent_usd, 0)
                + coalesce(repriced.worst_cost_usd, version.worst_cost_usd)
                <= resource.daily_spend_cap_usd, true),
        coalesce(count_waiting(account.id) < account.queue_limit, false),
        (SELECT coalesce(jsonb_object_agg(network, CASE WHEN NOT is_paused(network) THEN payout_in_force(payout_addresses) END), '{}')
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
COMMENT ON FUNCTION sale_state IS 'Every version with what it sells, and everything that could stop a sale of it now. Postgres inlines it, so a query pays only for the columns that it names.';

-- A creator who offers a version reprices it at once; the policy keeps the others' rows away.
GRANT INSERT, UPDATE ON repriced_versions TO instant_creator;
