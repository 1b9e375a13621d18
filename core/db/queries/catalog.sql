-- name: take_turns()!
-- Two syncs at once would count each other's rows. Readers, and inserts that refer to a model, go on.
LOCK TABLE models IN SHARE ROW EXCLUSIVE MODE;

-- name: loss(ids)^
-- How much of the catalog a list would take away: asked before anything is written.
SELECT count(*) AS present, count(*) FILTER (WHERE listed.id IS NULL) AS absent
FROM models LEFT JOIN unnest(CAST(:ids AS text[])) AS listed (id) USING (id)
WHERE missing_since IS NULL;

-- name: apply(rows)^
-- One statement for the whole list: insert what is new, update what differs, mark what is absent, and count.
-- What we read from a row is compared too, since our reading changes with our versions. All parts see the table
-- as it was before, so the counts are of that moment.
WITH listed AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS listed (
        id text, name text, context_length integer, max_completion_tokens integer, input_modalities text[],
        output_modalities text[], supported_parameters text[], prompt_usd numeric, completion_usd numeric,
        request_usd numeric, image_output_usd numeric, not_sellable text, raw jsonb
    )
),
compared AS (
    SELECT
        listed.*,
        known.id IS NULL AS is_new,
        known.missing_since IS NOT NULL AS is_back,
        (known.name, known.context_length, known.max_completion_tokens, known.input_modalities,
         known.output_modalities, known.supported_parameters, known.prompt_usd, known.completion_usd,
         known.request_usd, known.image_output_usd, known.not_sellable, known.raw)
        IS DISTINCT FROM
        (listed.name, listed.context_length, listed.max_completion_tokens, listed.input_modalities,
         listed.output_modalities, listed.supported_parameters, listed.prompt_usd, listed.completion_usd,
         listed.request_usd, listed.image_output_usd, listed.not_sellable, listed.raw) AS differs
    FROM listed LEFT JOIN models AS known USING (id)
),
written AS (
    INSERT INTO models (
        id, name, context_length, max_completion_tokens, input_modalities, output_modalities, supported_parameters,
        prompt_usd, completion_usd, request_usd, image_output_usd, not_sellable, raw
    )
    SELECT
        id, name, context_length, max_completion_tokens, input_modalities, output_modalities, supported_parameters,
        prompt_usd, completion_usd, request_usd, image_output_usd, not_sellable, raw
    FROM compared WHERE differs
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name,
        context_length = excluded.context_length,
        max_completion_tokens = excluded.max_completion_tokens,
        input_modalities = excluded.input_modalities,
        output_modalities = excluded.output_modalities,
        supported_parameters = excluded.supported_parameters,
        prompt_usd = excluded.prompt_usd,
        completion_usd = excluded.completion_usd,
        request_usd = excluded.request_usd,
        image_output_usd = excluded.image_output_usd,
        not_sellable = excluded.not_sellable,
        raw = excluded.raw,
        changed_at = now(),
        missing_since = NULL
),
back AS (
    UPDATE models SET missing_since = NULL
    FROM compared WHERE models.id = compared.id AND compared.is_back AND NOT compared.differs
),
gone AS (
    UPDATE models SET missing_since = now()
    WHERE missing_since IS NULL AND NOT EXISTS (SELECT FROM listed WHERE listed.id = models.id)
    RETURNING models.id
)
SELECT
    (SELECT count(*) FROM compared WHERE is_new) AS added,
    (SELECT count(*) FROM compared WHERE NOT is_new AND NOT is_back AND differs) AS changed,
    (SELECT count(*) FROM compared WHERE NOT is_new AND NOT differs AND NOT is_back) AS unchanged,
    (SELECT count(*) FROM compared WHERE is_back) AS returned,
    (SELECT count(*) FROM gone) AS missing;

-- name: find(id)^
-- Sellable or not: whoever asks decides, and wants to say why.
SELECT
    id, name, context_length, max_completion_tokens, input_modalities, output_modalities, supported_parameters,
    prompt_usd, completion_usd, request_usd, image_output_usd, not_sellable, disabled, missing_since, raw
FROM models WHERE id = :id;

-- name: is_empty()$
-- Whether no sync ever brought anything.
SELECT NOT EXISTS (SELECT FROM models);
