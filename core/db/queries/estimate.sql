-- name: usual_tokens(account_id, slug, modality)^
-- What the answered calls of a creator's resource used on average in the last 30 days, on whatever model. Providers count
-- reasoning as output.
-- types: row!
SELECT count(*) AS calls, avg(log.input_tokens) AS input_tokens, avg(log.output_tokens) AS output_tokens
FROM usage_log AS log
JOIN resource_versions AS version ON version.id = log.version_id
JOIN resources AS resource ON resource.id = version.resource_id
WHERE log.account_id = :account_id AND resource.account_id = :account_id AND resource.slug = :slug
    AND version.modality = :modality AND log.outcome = 'succeeded' AND log.created_at > now() - interval '30 days'
    AND log.input_tokens IS NOT NULL AND log.output_tokens IS NOT NULL;

-- name: calls_by_tokenizer(tokenizer)
-- The last answered calls of all creators to models with this tokenizer, of the newest 10,000: how long the prompt was, what
-- it used, and today's prices. A cached answer has no tokens.
-- types: latin_characters! other_characters! input_tokens! output_tokens! prompt_usd! completion_usd! request_usd!
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
WHERE model.raw #>> '{architecture,tokenizer}' = :tokenizer AND sent.outcome = 'succeeded'
    AND sent.latin_characters + sent.other_characters > 0 AND sent.input_tokens > 0 AND sent.output_tokens IS NOT NULL
    AND model.prompt_usd IS NOT NULL AND model.completion_usd IS NOT NULL AND NOT 'image' = ANY(model.output_modalities)
LIMIT 500;
