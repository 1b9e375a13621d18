-- depends: 0058.live-usage
-- A version is not sold on a model that does not serve it any more, whatever the model lost: an input, an output, the
-- length of its answers, or an effort of reasoning. Its creator is told, and pointed only to models that serve it.

CREATE FUNCTION serves(model models, version resource_versions) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT takes_inputs(model, version.parameters)
        AND CASE version.modality WHEN 'image' THEN 'image' ELSE 'text' END = ANY(model.output_modalities)
        AND (model.max_completion_tokens IS NULL OR version.max_output_tokens <= model.max_completion_tokens)
        AND (model.context_length IS NULL OR version.max_output_tokens < model.context_length)
        AND CASE
            WHEN version.reasoning_effort IS NULL THEN true
            WHEN NOT 'reasoning' = ANY(model.supported_parameters) THEN false
            WHEN version.reasoning_effort = 'none' THEN
                model.raw -> 'reasoning' -> 'mandatory' IS DISTINCT FROM CAST('true' AS jsonb)
            WHEN jsonb_typeof(model.raw -> 'reasoning' -> 'supported_efforts') = 'array' THEN
                model.raw -> 'reasoning' -> 'supported_efforts' ? version.reasoning_effort
            ELSE true
        END
$$;
COMMENT ON FUNCTION serves IS 'Whether a model serves what a version asks for. Agrees with core.resources.call_cost.refuse_unsupported, except for the length of the template, which is sealed.';

CREATE OR REPLACE FUNCTION sale_state(absence_tolerated interval) RETURNS TABLE (
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
    has_room boolean, payouts jsonb
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
        resource.version_id IS NOT DISTINCT FROM version.id,
        provider_key.id, provider_key.sealed_key, key_obstacle(provider_key),
        coalesce(model_obstacle(model, absence_tolerated) IS NOT NULL OR NOT serves(model, version), true),
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

CREATE OR REPLACE FUNCTION leaving_resources(absence_tolerated interval)
RETURNS TABLE (account_id uuid, resource_id uuid, slug text, facts jsonb) LANGUAGE sql STABLE AS $$
    SELECT resource.account_id, resource.id, resource.slug, jsonb_build_object(
        'model', model.id, 'cause', why.cause, 'until', why.until, 'switch_to', others.ids,
        'price_atomic', version.price_atomic, 'worst_cost_usd', CAST(repriced.worst_cost_usd AS text)
    )
    FROM resources AS resource
    JOIN resource_versions AS version ON version.id = resource.version_id
    JOIN models AS model ON model.id = version.model_id
    LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(id ORDER BY place), '{}') AS ids, coalesce(bool_or(is_renamed), false) AS has_renamed
        FROM (
            SELECT other.id, is_renamed, row_number() OVER (
                ORDER BY is_renamed DESC, other.provider = model.provider DESC,
                    other.output_usd <= model.output_usd DESC, similarity(other.id, model.id) DESC, other.id
            ) AS place
            FROM models AS other
            CROSS JOIN LATERAL (
                SELECT (other.raw ->> 'canonical_slug' = model.raw ->> 'canonical_slug') IS TRUE AS is_renamed
            ) AS same
            WHERE other.id <> model.id AND other.served_by = model.served_by AND other.missing_since IS NULL
                AND other.expires_on IS NULL AND model_obstacle(other, absence_tolerated) IS NULL AND serves(other, version)
        ) AS sellable
        WHERE place <= 3
    ) AS others
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN model.missing_since IS NOT NULL AND others.has_renamed THEN 'renamed'
                WHEN model_obstacle(model, absence_tolerated) IS NOT NULL THEN 'withdrawn'
                WHEN NOT serves(model, version) THEN 'unfit'
                WHEN repriced.is_certain_loss AND version.allows_loss = false THEN 'loss'
                WHEN model.missing_since IS NOT NULL THEN 'lost'
                WHEN model.expires_on IS NOT NULL THEN 'ends'
                -- What could cost more than its price when it was published was warned of then.
                WHEN repriced.worst_cost_usd * 1000000 > version.price_atomic AND version.allows_loss IS NOT TRUE
                    AND version.worst_cost_usd * 1000000 <= version.price_atomic THEN 'dear'
            END AS cause,
            CASE
                WHEN model.missing_since IS NOT NULL THEN to_char(
                    (model.missing_since + absence_tolerated) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'
                )
                ELSE CAST(model.expires_on AS text)
            END AS until
    ) AS why
    WHERE resource.archived_at IS NULL AND why.cause IS NOT NULL
$$;
COMMENT ON FUNCTION leaving_resources IS 'What is on sale on a model that ends, was lost or renamed, is withdrawn, does not serve it any more, makes every call a loss, or can cost more than the price since it got dearer; until when it is sold, and up to three models to switch to that serve it: first the renamed one, then of the same maker, not dearer, with a similar name.';
