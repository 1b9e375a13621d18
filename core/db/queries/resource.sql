-- name: resolve(handle, slug, absence_tolerated)^
-- The hot path of every request, in one look: the version on offer now, and what `readiness` asks for.
SELECT version.id AS version_id, version.resource_id, resource.account_id, account.handle, resource.slug,
       version.number, version.title, version.description, version.modality, version.model_id, version.parameters,
       version.allows_user_message, version.max_output_tokens, version.temperature, version.timeout_seconds,
       version.price_atomic, coalesce(repriced.worst_cost_usd, version.worst_cost_usd) AS worst_cost_usd,
       version.zdr, version.sealed_template, CAST(version.answer_schema AS text) AS answer_schema,
       model.supported_parameters, model.prompt_usd, model.completion_usd, model.request_usd, resource.archived_at IS NOT NULL AS archived, version.allows_loss,
       provider_key.id AS key_id, provider_key.sealed_key, provider_key.enabled AS key_enabled,
       provider_key.rejected_at IS NOT NULL AS key_rejected,
       model_obstacle(model, CAST(:absence_tolerated AS interval)) IS NOT NULL AS model_withdrawn,
       coalesce(repriced.is_certain_loss AND NOT version.allows_loss, false) AS is_certain_loss,
       coalesce(spend.reserved_usd + spend.spent_usd, 0) + coalesce(repriced.worst_cost_usd, version.worst_cost_usd)
           <= account.daily_spend_cap_usd AS has_budget,
       coalesce(
           coalesce(resource_spend.reserved_usd + resource_spend.spent_usd, 0)
               + coalesce(repriced.worst_cost_usd, version.worst_cost_usd)
               <= resource.daily_spend_cap_usd, true) AS resource_has_budget,
       (SELECT count(*) FROM executions
        WHERE executions.account_id = account.id AND executions.state IN ('held', 'queued', 'running'))
           < account.queue_limit AS has_room,
       (SELECT coalesce(jsonb_object_agg(network, address), '{}') FROM payout_addresses
        WHERE payout_addresses.account_id = account.id) AS payouts
FROM accounts AS account
JOIN resources AS resource ON resource.account_id = account.id
JOIN resource_versions AS version ON version.id = resource.version_id
JOIN models AS model ON model.id = version.model_id
LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
LEFT JOIN provider_keys AS provider_key
    ON provider_key.account_id = account.id AND provider_key.provider = model.served_by
LEFT JOIN spend_days AS spend
    ON spend.account_id = account.id AND spend.day = CAST(now() AT TIME ZONE 'UTC' AS date)
LEFT JOIN resource_spend_days AS resource_spend
    ON resource_spend.resource_id = resource.id AND resource_spend.day = CAST(now() AT TIME ZONE 'UTC' AS date)
WHERE account.handle = :handle AND resource.slug = :slug;

-- name: version(version_id)^
-- Any version, also one that was replaced or archived: what was sold stays readable for ever.
SELECT version.id AS version_id, version.resource_id, resource.account_id, account.handle, resource.slug,
       version.number, version.title, version.description, version.modality, version.model_id, version.parameters,
       version.allows_user_message, version.max_output_tokens, version.temperature, version.timeout_seconds,
       version.price_atomic, coalesce(repriced.worst_cost_usd, version.worst_cost_usd) AS worst_cost_usd,
       version.zdr, version.sealed_template, CAST(version.answer_schema AS text) AS answer_schema,
       model.supported_parameters, model.prompt_usd, model.completion_usd, model.request_usd, resource.archived_at IS NOT NULL AS archived, version.allows_loss
FROM resource_versions AS version
JOIN resources AS resource ON resource.id = version.resource_id
JOIN accounts AS account ON account.id = resource.account_id
JOIN models AS model ON model.id = version.model_id
LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
WHERE version.id = :version_id;

-- name: listing(account_id)
-- What one creator has published, archived ones last.
SELECT version.id AS version_id, version.resource_id, resource.account_id, account.handle, resource.slug,
       version.number, version.title, version.description, version.modality, version.model_id, version.parameters,
       version.allows_user_message, version.max_output_tokens, version.temperature, version.timeout_seconds,
       version.price_atomic, coalesce(repriced.worst_cost_usd, version.worst_cost_usd) AS worst_cost_usd,
       version.zdr, version.sealed_template, CAST(version.answer_schema AS text) AS answer_schema,
       model.supported_parameters, model.prompt_usd, model.completion_usd, model.request_usd, resource.archived_at IS NOT NULL AS archived, version.allows_loss
FROM accounts AS account
JOIN resources AS resource ON resource.account_id = account.id
JOIN resource_versions AS version ON version.id = resource.version_id
JOIN models AS model ON model.id = version.model_id
LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
WHERE account.id = :account_id
ORDER BY archived, resource.slug;

-- name: take(id, account_id, slug, daily_spend_cap_usd)^
-- Finds or makes the resource and locks it, so that publishers of one slug take turns.
-- Its cap is no part of what is sold, so it needs no new version.
INSERT INTO resources AS resource (id, account_id, slug, daily_spend_cap_usd)
VALUES (:id, :account_id, :slug, :daily_spend_cap_usd)
ON CONFLICT (account_id, slug) DO UPDATE SET daily_spend_cap_usd = excluded.daily_spend_cap_usd
RETURNING id, version_id, archived_at IS NOT NULL AS archived;

-- name: add_version(id, resource_id, title, description, modality, model_id, sealed_template, parameters, allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd, zdr, answer_schema, allows_loss)$
-- Numbers are consecutive because `take` holds the resource until this commits.
INSERT INTO resource_versions (
    id, resource_id, number, title, description, modality, model_id, sealed_template, parameters,
    allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd,
    zdr, answer_schema, allows_loss
)
VALUES (
    :id, :resource_id,
    (SELECT coalesce(max(number), 0) + 1 FROM resource_versions WHERE resource_id = :resource_id),
    :title, :description, :modality, :model_id, :sealed_template, :parameters::jsonb,
    :allows_user_message, :max_output_tokens, :temperature, :timeout_seconds, :price_atomic, :worst_cost_usd,
    :zdr, CAST(:answer_schema AS json), :allows_loss
)
RETURNING number;

-- name: offer(id, version_id)!
-- From the commit on, this version is what buyers see.
UPDATE resources SET version_id = :version_id WHERE id = :id;

-- name: archive(account_id, slug)!
-- Off sale at once, and its slug stays taken. Doing it twice keeps the first date.
UPDATE resources SET archived_at = coalesce(archived_at, now()) WHERE account_id = :account_id AND slug = :slug;

-- name: restore(account_id, slug)!
-- On sale again with the version it had.
UPDATE resources SET archived_at = NULL WHERE account_id = :account_id AND slug = :slug;

-- name: readiness(version_id, absence_tolerated)^
-- Everything that could stop a sale, in one look. It locks nothing: the claim decides again.
SELECT resource.archived_at IS NOT NULL AS archived,
       provider_key.id AS key_id, provider_key.sealed_key, provider_key.enabled AS key_enabled,
       provider_key.rejected_at IS NOT NULL AS key_rejected,
       model_obstacle(model, CAST(:absence_tolerated AS interval)) IS NOT NULL AS model_withdrawn,
       coalesce(repriced.is_certain_loss AND NOT version.allows_loss, false) AS is_certain_loss,
       coalesce(spend.reserved_usd + spend.spent_usd, 0) + coalesce(repriced.worst_cost_usd, version.worst_cost_usd)
           <= account.daily_spend_cap_usd AS has_budget,
       coalesce(
           coalesce(resource_spend.reserved_usd + resource_spend.spent_usd, 0)
               + coalesce(repriced.worst_cost_usd, version.worst_cost_usd)
               <= resource.daily_spend_cap_usd, true) AS resource_has_budget,
       (SELECT count(*) FROM executions
        WHERE executions.account_id = account.id AND executions.state IN ('held', 'queued', 'running'))
           < account.queue_limit AS has_room,
       (SELECT coalesce(jsonb_object_agg(network, address), '{}') FROM payout_addresses
        WHERE payout_addresses.account_id = account.id) AS payouts
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
WHERE version.id = :version_id;

-- name: key(account_id, provider)^
-- The sealed key for a call that was paid for. A rejected one is tried all the same: the provider has the last word.
SELECT id, sealed_key, enabled FROM provider_keys WHERE account_id = :account_id AND provider = :provider;
