-- name: validators(source)^
-- The ETag and date of the last applied list, if the same code read it from the same place. They expire after a week,
-- so that a server that wrongly answers "not modified" for ever is asked for the whole list now and then.
SELECT etag, last_modified
FROM (SELECT * FROM catalog_syncs WHERE outcome = 'applied' ORDER BY id DESC LIMIT 1) AS latest
WHERE source = :source AND at > now() - interval '7 days';

-- name: record_refusal(why)!
-- Record a rejected list. Nothing else changes.
INSERT INTO catalog_syncs (outcome, why) VALUES ('refused', :why);

-- name: record(added, changed, unchanged, returned, missing, quarantined, etag, last_modified, source)$
-- Runs in the transaction that applies the list, so that both have the same time in the history.
INSERT INTO catalog_syncs (
    outcome, added, changed, unchanged, returned, missing, quarantined, etag, last_modified, source
)
VALUES (
    'applied', :added, :changed, :unchanged, :returned, :missing, :quarantined, :etag, :last_modified, :source
)
RETURNING at;

-- name: take_turns()!
-- Two concurrent syncs would count each other's rows, and a publisher would read prices that are about to change.
-- Readers are not blocked.
LOCK TABLE models IN SHARE ROW EXCLUSIVE MODE;

-- name: is_first()$
-- Whether no list was ever applied.
SELECT NOT EXISTS (SELECT FROM catalog_syncs WHERE outcome = 'applied');

-- name: loss(ids)^
-- Count the models that a list would take away, before anything is written.
SELECT count(*) AS present, count(*) FILTER (WHERE listed.id IS NULL) AS absent
FROM models LEFT JOIN unnest(CAST(:ids AS text[])) AS listed (id) USING (id)
WHERE missing_since IS NULL AND served_by = 'openrouter';

-- name: now()$
-- The transaction's time, which all its rows in the history have.
SELECT now();

-- name: apply(rows, whole)^
-- Apply the whole list in one statement: insert new models, update changed ones, mark absent ones, and count. Single
-- rows make no other model absent, and OpenRouter's list makes no other provider's models absent.
-- The values that we parse from a row are compared too, because our parser changes between versions. All parts see the
-- table as it was before, so the counts are of that moment. Triggers write the history.
WITH listed AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS listed (
        id text, name text, modality text, capabilities text[], alias_target text,
        released_at timestamptz, expires_on date, context_length integer, max_completion_tokens integer,
        input_modalities text[], output_modalities text[], supported_parameters text[], prompt_usd numeric,
        completion_usd numeric, request_usd numeric, image_output_usd numeric, cache_usd numeric, search_usd numeric,
        picture_usd numeric, price_tiers jsonb, prices jsonb, not_sellable text, raw jsonb
    )
),
compared AS (
    SELECT
        listed.*,
        known.id IS NULL AS is_new,
        known.missing_since IS NOT NULL AS is_back,
        (known.name, known.modality, known.capabilities, known.alias_target, known.released_at,
         known.expires_on, known.context_length, known.max_completion_tokens, known.input_modalities,
         known.output_modalities, known.supported_parameters, known.prompt_usd, known.completion_usd,
         known.request_usd, known.image_output_usd, known.cache_usd, known.search_usd, known.picture_usd,
         known.price_tiers, known.prices, known.not_sellable, known.raw)
        IS DISTINCT FROM
        (listed.name, listed.modality, listed.capabilities, listed.alias_target, listed.released_at,
         listed.expires_on, listed.context_length, listed.max_completion_tokens, listed.input_modalities,
         listed.output_modalities, listed.supported_parameters, listed.prompt_usd, listed.completion_usd,
         listed.request_usd, listed.image_output_usd, listed.cache_usd, listed.search_usd, listed.picture_usd,
         listed.price_tiers, listed.prices, listed.not_sellable, listed.raw) AS differs
    FROM listed LEFT JOIN models AS known USING (id)
),
written AS (
    INSERT INTO models (
        id, name, modality, capabilities, alias_target, released_at, expires_on, context_length,
        max_completion_tokens, input_modalities, output_modalities, supported_parameters, prompt_usd, completion_usd,
        request_usd, image_output_usd, cache_usd, search_usd, picture_usd, price_tiers, prices, not_sellable, raw
    )
    SELECT
        id, name, modality, capabilities, alias_target, released_at, expires_on, context_length,
        max_completion_tokens, input_modalities, output_modalities, supported_parameters, prompt_usd, completion_usd,
        request_usd, image_output_usd, cache_usd, search_usd, picture_usd, price_tiers, prices, not_sellable, raw
    FROM compared WHERE is_new
),
rewritten AS (
    -- Not ON CONFLICT, which computes the generated columns of a row twice.
    UPDATE models SET
        name = compared.name,
        modality = compared.modality,
        capabilities = compared.capabilities,
        alias_target = compared.alias_target,
        released_at = compared.released_at,
        expires_on = compared.expires_on,
        context_length = compared.context_length,
        max_completion_tokens = compared.max_completion_tokens,
        input_modalities = compared.input_modalities,
        output_modalities = compared.output_modalities,
        supported_parameters = compared.supported_parameters,
        prompt_usd = compared.prompt_usd,
        completion_usd = compared.completion_usd,
        request_usd = compared.request_usd,
        image_output_usd = compared.image_output_usd,
        cache_usd = compared.cache_usd,
        search_usd = compared.search_usd,
        picture_usd = compared.picture_usd,
        price_tiers = compared.price_tiers,
        prices = compared.prices,
        not_sellable = compared.not_sellable,
        raw = compared.raw,
        changed_at = now(),
        missing_since = NULL
    FROM compared WHERE models.id = compared.id AND compared.differs AND NOT compared.is_new
),
back AS (
    UPDATE models SET missing_since = NULL
    FROM compared WHERE models.id = compared.id AND compared.is_back AND NOT compared.differs
),
gone AS (
    UPDATE models SET missing_since = now()
    -- NOT IN is always hashed. With its estimate for served_by, the planner would run NOT EXISTS as a scan for each
    -- model.
    WHERE missing_since IS NULL AND models.id NOT IN (SELECT listed.id FROM listed)
        AND CAST(:whole AS boolean) AND served_by = 'openrouter'
    RETURNING models.id
)
SELECT
    (SELECT count(*) FROM compared WHERE is_new) AS added,
    (SELECT count(*) FROM compared WHERE NOT is_new AND NOT is_back AND differs) AS changed,
    (SELECT count(*) FROM compared WHERE NOT is_new AND NOT differs AND NOT is_back) AS unchanged,
    (SELECT count(*) FROM compared WHERE is_back) AS returned,
    (SELECT count(*) FROM gone) AS missing;

-- name: put_aside(ids, reasons, listed)!
-- The quarantine holds the last list's unreadable rows; a row that stays unreadable keeps the time it first appeared.
WITH bad AS (
    SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:reasons AS text[]), CAST(:listed AS text[]))
        AS bad (id, reason, listed)
),
gone AS (
    DELETE FROM quarantined_models WHERE NOT EXISTS (SELECT FROM bad WHERE bad.id = quarantined_models.id)
)
INSERT INTO quarantined_models AS known (id, reason, listed) SELECT id, reason, listed FROM bad
ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, listed = excluded.listed
WHERE (known.reason, known.listed) IS DISTINCT FROM (excluded.reason, excluded.listed);

-- name: is_recorded(source)$
-- Whether the last applied list was read by the same code from the same place within a week, so that its validators count.
SELECT EXISTS (
    SELECT FROM (SELECT * FROM catalog_syncs WHERE outcome = 'applied' ORDER BY id DESC LIMIT 1) AS latest
    WHERE source = :source AND at > now() - interval '7 days'
);

-- name: report_due()^
-- The report of today, whose day begins at 03:00 UTC, unless it was made; what changed in this time is its subject.
SELECT today.day, coalesce((SELECT max(at) FROM catalog_reports), now() - interval '1 day') AS since, now() AS until
FROM (SELECT CAST(now() AT TIME ZONE 'UTC' - interval '3 hours' AS date)) AS today (day)
WHERE NOT EXISTS (SELECT FROM catalog_reports WHERE catalog_reports.day = today.day);

-- name: reported(day, until)!
-- Record that the report of this day was made, about everything up to then.
INSERT INTO catalog_reports (day, at) VALUES (:day, :until) ON CONFLICT (day) DO NOTHING;

-- name: news(since, until)
-- The changes of a time, both ends included: for each model its last state then, after the one before that time if there is
-- one. A sync writes all its changes at one time.
-- Arrays and JSON are returned as text, because converting them would take most of the time of a first sync.
-- types: row=ModelState
SELECT story.model_id, story.listed, story.prompt_usd, story.completion_usd, story.request_usd, story.image_output_usd,
       story.cache_usd, story.search_usd, story.picture_usd, CAST(story.price_tiers AS text) AS price_tiers,
       CAST(story.prices AS text) AS prices,
       story.context_length, story.max_completion_tokens,
       array_to_string(story.input_modalities, ' ') AS input_modalities,
       array_to_string(story.output_modalities, ' ') AS output_modalities,
       array_to_string(story.supported_parameters, ' ') AS supported_parameters,
       array_to_string(story.capabilities, ' ') AS capabilities,
       story.not_sellable, story.expires_on, story.alias_target,
       CASE WHEN NOT story.listed THEN (
           SELECT model_successor(models) FROM models WHERE models.id = story.model_id AND missing_since IS NOT NULL
       ) END AS successor
FROM (
    SELECT model_id, min(id) AS first, max(id) AS last FROM model_history
    WHERE at BETWEEN :since AND :until GROUP BY model_id
) AS changed
CROSS JOIN LATERAL (
    SELECT * FROM model_history AS one
    WHERE one.model_id = changed.model_id AND (one.id < changed.first OR one.id = changed.last)
    ORDER BY one.id DESC LIMIT 2
) AS story
ORDER BY story.model_id, story.id;
