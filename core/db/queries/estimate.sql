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
-- The last answered calls of all creators to models with this tokenizer, without saying whose they were: how long the prompt
-- was, what it used, and today's prices.
-- types: latin_characters! other_characters! input_tokens! output_tokens! max_output_tokens! prompt_usd!
-- types: completion_usd! request_usd!
SELECT latin_characters, other_characters, input_tokens, output_tokens, max_output_tokens, prompt_usd, completion_usd,
    request_usd
FROM calls_by_tokenizer(:tokenizer);
