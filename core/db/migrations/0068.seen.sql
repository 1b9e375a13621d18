-- depends: 0067.cheap-without-fees
-- Whoever has read what is on sale reads only one text from then on, which says whether anything has changed.

DROP FUNCTION sale_state;
CREATE FUNCTION sale_state(absence_tolerated interval) RETURNS TABLE (
    version_id uuid, resource_id uuid, account_id uuid, handle text, slug text, number integer, title text,
    description text, modality text, model_id text, parameters jsonb, allows_user_message boolean,
    max_output_tokens integer, temperature numeric, timeout_seconds integer, price_atomic bigint,
    worst_cost_usd numeric, zdr boolean, sealed_template bytea, answer_schema text, truncated_from_characters integer,
    reasoning_effort text, prompt_shield text, inputs_in text,
    shielded_calls bigint, withheld_calls bigint, providers jsonb, fallbacks text[], alternatives jsonb, supported_parameters text[], output_modalities text[],
    prompt_usd numeric, completion_usd numeric, request_usd numeric, archived boolean, allows_loss boolean,
    tags text[], icon text, example jsonb, offered_at timestamptz,
    is_on_offer boolean, key_id uuid, sealed_key bytea, key_obstacle text,
    model_withdrawn boolean, is_certain_loss boolean, has_budget boolean, resource_has_budget boolean,
    has_room boolean, payouts jsonb, seen text
) LANGUAGE sql STABLE AS $$
    SELECT version.id, version.resource_id, resource.account_id, account.handle, resource.slug, version.number,
        version.title, version.description, version.modality, version.model_id, version.parameters,
        version.allows_user_message, version.max_output_tokens, version.temperature, version.timeout_seconds,
        version.price_atomic, coalesce(repriced.worst_cost_usd, version.worst_cost_usd), version.zdr,
        version.sealed_template, CAST(version.answer_schema AS text), version.truncated_from_characters,
        version.reasoning_effort, version.prompt_shield, version.inputs_in, resource.shielded_calls,
        resource.withheld_calls, version.providers, version.fallbacks,
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
         WHERE model_obstacle(other, absence_tolerated) IS NULL AND serves(other, version)),
        model.supported_parameters, model.output_modalities, model.prompt_usd, model.completion_usd,
        model.request_usd, resource.archived_at IS NOT NULL, version.allows_loss,
        version.tags, version.icon, version.example, version.offered_at,
        -- Not IS NOT DISTINCT FROM, with which all versions of the resource would be read.
        resource.version_id = version.id,
        provider_key.id, provider_key.sealed_key, state.key_obstacle, state.model_withdrawn, state.is_certain_loss,
        state.has_budget, state.resource_has_budget, state.has_room, state.payouts,
        -- A row by its place and its writer: a second write in one transaction changes only the place, and places are
        -- used again.
        CASE WHEN version.fallbacks = '{}' THEN concat_ws(
            ' ', version.id, version.ctid, version.xmin, resource.ctid, resource.xmin, model.ctid, model.xmin,
            repriced.ctid, repriced.xmin, state.model_withdrawn, state.is_certain_loss, state.has_budget,
            state.resource_has_budget, state.has_room, state.key_obstacle, provider_key.ctid, provider_key.xmin,
            state.payouts
        ) END
    FROM resource_versions AS version
    JOIN resources AS resource ON resource.id = version.resource_id
    JOIN accounts AS account ON account.id = resource.account_id
    JOIN models AS model ON model.id = version.model_id
    LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
    LEFT JOIN provider_keys AS provider_key
        ON provider_key.account_id = account.id AND provider_key.provider = model.served_by
    CROSS JOIN LATERAL (
        SELECT key_obstacle(provider_key) AS key_obstacle,
            coalesce(model_obstacle(model, absence_tolerated) IS NOT NULL OR NOT serves(model, version), true)
                AS model_withdrawn,
            coalesce(repriced.is_certain_loss AND NOT version.allows_loss, false) AS is_certain_loss,
            coalesce(
                (SELECT reserved_usd + spent_usd FROM spend_days
                 WHERE spend_days.account_id = account.id AND day = CAST(now() AT TIME ZONE 'UTC' AS date)), 0
            ) + coalesce(repriced.worst_cost_usd, version.worst_cost_usd) <= account.daily_spend_cap_usd AS has_budget,
            coalesce(
                coalesce(
                    (SELECT reserved_usd + spent_usd FROM resource_spend_days
                     WHERE resource_spend_days.resource_id = resource.id
                        AND day = CAST(now() AT TIME ZONE 'UTC' AS date)), 0
                ) + coalesce(repriced.worst_cost_usd, version.worst_cost_usd) <= resource.daily_spend_cap_usd, true
            ) AS resource_has_budget,
            coalesce(count_waiting(account.id) < account.queue_limit, false) AS has_room,
            (SELECT coalesce(jsonb_object_agg(network, CASE WHEN NOT is_paused(network) THEN payout_in_force(payout_addresses) END), '{}')
             FROM payout_addresses WHERE payout_addresses.account_id = account.id) AS payouts
    ) AS state
$$;
COMMENT ON FUNCTION sale_state IS 'Every version with what it sells, and everything that could stop a sale of it now. Postgres inlines it, so a query pays only for the columns that it names. While `seen` stays the same, so does everything else; a version with fallbacks has none, because the time alone withdraws a fallback.';
