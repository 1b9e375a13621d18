-- name: find(id)^
-- Also finds models that cannot be sold: the caller decides, and reports the reason.
-- types: row=ModelRow price_tiers=list[dict[str,object]] prices=dict[str,str|None] logged_picture_tokens=list[int]|None
SELECT
    id, name, modality, capabilities, alias_target, released_at, expires_on, context_length,
    max_completion_tokens, input_modalities, output_modalities, supported_parameters, prompt_usd, completion_usd,
    request_usd, image_output_usd, cache_usd, search_usd, picture_usd, price_tiers, prices, not_sellable, curated,
    modality_override, disabled, missing_since, raw,
    CASE WHEN 'image' = ANY(output_modalities) THEN logged_picture_tokens(id) END AS logged_picture_tokens,
    CASE WHEN missing_since IS NOT NULL THEN model_successor(models) END AS successor
FROM models WHERE id = :id;

-- name: hold_prices()!
-- No sync changes a price until this transaction ends. The lock conflicts with a sync's, but not with those of readers
-- or of other publishers.
SELECT hold_prices();

-- name: is_empty()$
-- Whether the catalog has never been filled.
SELECT NOT EXISTS (SELECT FROM models);

-- name: page(absence_tolerated, sort, id, everything, search, modality, provider, tiers, min_context, capabilities, parameters, curated, ids, sells_as, takes, most_usd, expires_before, reasoning, cutoff_from, open_weights, after_text, after_number, after_id, most)
-- One page of the catalog, or the one model with an id.
-- The order is a text, a number and the id; each sort uses either the text or the number. So a cursor is a position
-- between two models, and stays valid while models come and go. A cursor has to be short, so only the beginning of a
-- long name counts. By relevance, the newest of equals comes first: its time is the end of the number.
-- A prompt on a model can be published as what it sells as; as json if its provider can hold it to JSON.
-- types: price_tiers=list[dict[str,object]] prices=dict[str,str|None]
-- types: row=ListedModel sells_as=list[Modality] open_weights! :after_text? :after_number?
WITH sales AS (
    SELECT version.model_id, sum(counted.succeeded) AS answered
    FROM usage_rollup AS counted
    JOIN resource_versions AS version ON version.id = counted.version_id
    WHERE CAST(:sort AS text) = 'popular' AND counted.span = 'day' AND counted.kind = 'paid'
        AND counted.starts_at > now() - interval '30 days'
    GROUP BY version.model_id
),
shelf AS (
    SELECT
        id, name, description, provider, coalesce(modality_override, modality) AS modality, capabilities, alias_target,
        released_at, expires_on, context_length, max_completion_tokens, input_modalities, output_modalities,
        supported_parameters, prompt_usd, completion_usd, request_usd, image_output_usd, cache_usd, search_usd,
        picture_usd, price_tiers, prices, tier, curated, missing_since, first_seen_at, changed_at, model_obstacle(models, CAST(:absence_tolerated AS interval)) AS obstacle,
        CASE WHEN missing_since IS NOT NULL THEN model_successor(models) END AS successor,
        array_remove(ARRAY[
            CASE WHEN 'text' = ANY(output_modalities) THEN 'text' END,
            CASE WHEN 'text' = ANY(output_modalities)
                AND supported_parameters && ARRAY['response_format', 'structured_outputs'] THEN 'json' END,
            CASE WHEN 'image' = ANY(output_modalities) THEN 'image' END
        ], NULL) AS sells_as,
        coalesce(raw ->> 'hugging_face_id', '') <> '' AS open_weights,
        raw ->> 'knowledge_cutoff' AS knowledge_cutoff,
        CASE jsonb_typeof(raw -> 'reasoning' -> 'mandatory')
            WHEN 'boolean' THEN CAST(raw -> 'reasoning' ->> 'mandatory' AS boolean)
        END AS reasons_always,
        output_usd,
        CASE CAST(:sort AS text) WHEN 'name' THEN left(lower(name), 100) ELSE '' END AS sort_text,
        CASE CAST(:sort AS text)
            WHEN 'price' THEN coalesce(output_usd, 'Infinity')
            WHEN 'newest' THEN -coalesce(extract(epoch FROM released_at), 0)
            WHEN 'context' THEN -coalesce(context_length, 0)
            WHEN 'popular' THEN -(2 * coalesce(answered, 0) + CAST(curated AS integer))
            WHEN 'relevance' THEN -(relevance * 1e14 + coalesce(extract(epoch FROM released_at), 0))
            ELSE 0
        END AS sort_number
    FROM models
    CROSS JOIN LATERAL (
        SELECT CASE WHEN CAST(:search AS text) = '' THEN 1 ELSE search_relevance(models, search_words(:search)) END
    ) AS found (relevance)
    LEFT JOIN sales ON sales.model_id = models.id
    WHERE (CAST(:id AS text) IS NULL OR id = :id) AND relevance IS NOT NULL
)
SELECT * FROM shelf
WHERE (CAST(:everything AS boolean) OR obstacle IS NULL)
    AND (CAST(:modality AS text) IS NULL OR modality = :modality)
    AND (CAST(:provider AS text) IS NULL OR provider = :provider)
    AND (CAST(:tiers AS text[]) IS NULL OR tier = ANY(CAST(:tiers AS text[])))
    AND (CAST(:min_context AS integer) IS NULL OR context_length >= :min_context)
    AND (CAST(:capabilities AS text[]) IS NULL OR capabilities @> CAST(:capabilities AS text[]))
    AND (CAST(:parameters AS text[]) IS NULL OR supported_parameters @> CAST(:parameters AS text[]))
    AND (CAST(:curated AS boolean) IS NULL OR curated = :curated)
    AND (CAST(:ids AS text[]) IS NULL OR id = ANY(CAST(:ids AS text[])))
    AND (CAST(:sells_as AS text) IS NULL OR :sells_as = ANY(sells_as))
    AND (CAST(:takes AS text[]) IS NULL OR input_modalities @> CAST(:takes AS text[]))
    AND (CAST(:most_usd AS numeric) IS NULL OR output_usd <= :most_usd)
    AND (CAST(:expires_before AS date) IS NULL OR expires_on < :expires_before)
    AND (CAST(:reasoning AS boolean) IS NULL OR ('reasoning' = ANY(capabilities)) = :reasoning)
    AND (CAST(:cutoff_from AS date) IS NULL OR knowledge_cutoff >= CAST(CAST(:cutoff_from AS date) AS text))
    AND (CAST(:open_weights AS boolean) IS NULL OR open_weights = :open_weights)
    AND (
        CAST(:after_id AS text) IS NULL
        OR (sort_text, sort_number, id) > (CAST(:after_text AS text), CAST(:after_number AS numeric), :after_id)
    )
ORDER BY sort_text, sort_number, id
LIMIT :most;

-- name: similar(id, absence_tolerated, most)
-- The models that somebody may mean who wrote this id: first what has it as its permanent name, then the most alike.
SELECT id FROM models
WHERE model_obstacle(models, CAST(:absence_tolerated AS interval)) IS NULL
    AND (raw ->> 'canonical_slug' = CAST(:id AS text) OR similarity(id, :id) >= 0.3)
ORDER BY (raw ->> 'canonical_slug' = :id) IS TRUE DESC, similarity(id, :id) DESC, released_at DESC NULLS LAST, id
LIMIT :most;

-- name: history(id, most)
-- A model's past states, newest first.
-- types: row=PastModel price_tiers=list[dict[str,object]] prices=dict[str,str|None]
SELECT at, listed, prompt_usd, completion_usd, request_usd, image_output_usd, cache_usd, search_usd, picture_usd,
       price_tiers, prices, context_length, max_completion_tokens,
       input_modalities, output_modalities, supported_parameters, capabilities, not_sellable, expires_on, alias_target
FROM model_history WHERE model_id = :id ORDER BY model_history.id DESC LIMIT :most;

-- name: success_rate(id, days, least_calls)$
-- The share of whole answers, of the paid calls of these days that were not declined; NULL for fewer calls. Versions with
-- fallbacks are left out, because another model may have answered.
-- types: success_rate=Decimal|None
SELECT CASE WHEN sum(calls - declined) >= :least_calls
    THEN round(sum(succeeded - truncated) / sum(calls - declined), 4) END AS success_rate
FROM usage_rollup AS counted
JOIN resource_versions AS version ON version.id = counted.version_id
WHERE version.model_id = :id AND version.fallbacks = '{}' AND counted.span = 'day' AND counted.kind = 'paid'
    AND counted.starts_at > now() - make_interval(days => :days);

-- name: mark(ids, curated, disabled)
-- Set the operator's switches; NULL leaves one unchanged.
UPDATE models SET curated = coalesce(:curated, curated), disabled = coalesce(:disabled, disabled)
WHERE id = ANY(CAST(:ids AS text[]))
RETURNING id;

-- name: curate_by_rule(absence_tolerated)
-- Recommend exactly what the rule chooses from what can be sold now and has no announced end. For text and JSON: of the ten
-- makers with the most text models the newest two in each tier, that read 100,000 tokens and can be held to JSON and
-- tools, without special editions (the id of another one with more behind it); the newest of each before all second
-- ones, at most 24. For images: the newest two of each maker, at most 6.
WITH candidates AS (
    SELECT id, provider, tier, released_at, output_usd, supported_parameters, output_modalities, context_length
    FROM models
    WHERE model_obstacle(models, CAST(:absence_tolerated AS interval)) IS NULL AND expires_on IS NULL AND served_by = 'openrouter'
),
makers AS (
    SELECT provider, row_number() OVER (ORDER BY count(*) DESC, provider) AS place
    FROM candidates WHERE output_modalities = ARRAY['text'] GROUP BY provider
),
texts AS (
    SELECT id, place, tier,
        row_number() OVER (PARTITION BY provider, tier ORDER BY released_at DESC NULLS LAST, output_usd, id) AS newest
    FROM candidates JOIN makers USING (provider)
    WHERE place <= 10 AND output_modalities = ARRAY['text'] AND context_length >= 100000 AND tier <> 'free'
        AND 'tools' = ANY(supported_parameters)
        AND supported_parameters && ARRAY['response_format', 'structured_outputs']
        AND NOT EXISTS (
            SELECT FROM candidates AS plain
            WHERE plain.provider = candidates.provider AND plain.tier = candidates.tier
                AND starts_with(candidates.id, plain.id || '-')
        )
),
images AS (
    SELECT id, released_at, row_number() OVER (PARTITION BY provider ORDER BY released_at DESC NULLS LAST, id) AS newest
    FROM candidates WHERE 'image' = ANY(output_modalities)
),
chosen AS (
    (SELECT id FROM texts WHERE newest <= 2 ORDER BY newest, tier = 'premium' DESC, place, tier LIMIT 24)
    UNION ALL
    (SELECT id FROM images WHERE newest <= 2 ORDER BY newest, released_at DESC NULLS LAST, id LIMIT 6)
)
UPDATE models SET curated = NOT curated
WHERE curated <> (id IN (SELECT id FROM chosen))
RETURNING id;

-- name: override_modality(ids, modality)
-- Set the operator's choice of modality; NULL goes back to the listed one.
UPDATE models SET modality_override = :modality WHERE id = ANY(CAST(:ids AS text[])) RETURNING id;

-- name: syncs(most)
-- The last syncs, newest first.
-- types: row=SyncAttempt
SELECT at, outcome, why, added, changed, unchanged, returned, missing, quarantined
FROM catalog_syncs ORDER BY id DESC LIMIT :most;

-- name: quarantine()
-- Rows of the last applied list that could not be read.
-- types: row=QuarantinedRow
SELECT id, reason, first_seen_at, listed FROM quarantined_models ORDER BY first_seen_at, id;

-- name: sold_on(model_ids)
-- Resources on sale on these models, with their creators. Archived resources are left out.
-- types: row=SoldVersion serves!
SELECT version.model_id, account.handle, resource.slug, version.price_atomic,
       coalesce(repriced.worst_cost_usd, version.worst_cost_usd) AS worst_cost_usd,
       coalesce(repriced.is_certain_loss, false) AS is_certain_loss, version.allows_loss, model.not_sellable,
       serves(model, version) AS serves,
       CASE WHEN model.missing_since IS NOT NULL THEN model_successor(model) END AS successor
FROM resources AS resource
JOIN resource_versions AS version ON version.id = resource.version_id
JOIN models AS model ON model.id = version.model_id
JOIN accounts AS account ON account.id = resource.account_id
LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
WHERE resource.archived_at IS NULL AND version.model_id = ANY(CAST(:model_ids AS text[]))
ORDER BY account.handle, resource.slug;
