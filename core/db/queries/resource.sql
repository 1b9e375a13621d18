-- name: resolve(handle, slug, absence_tolerated)^
-- The hot path of every request, in one query: the current version, and its readiness.
-- types: parameters=list[dict[str,object]] providers=dict[str,list[str]]|None alternatives? payouts=dict[str,str|None]
-- types: price_tiers=list[dict[str,str|int]]
SELECT *, (SELECT price_tiers FROM models WHERE models.id = model_id) AS price_tiers
FROM sale_state(CAST(:absence_tolerated AS interval))
WHERE handle = :handle AND slug = :slug AND is_on_offer;

-- name: version(version_id)^
-- Any version, also a replaced or archived one: a sold version stays readable for ever.
-- types: row=VersionRow parameters=list[dict[str,object]] providers=dict[str,list[str]]|None alternatives?
-- types: price_tiers=list[dict[str,str|int]]
SELECT version_id, resource_id, account_id, handle, slug, number, title, description, modality, model_id, parameters,
       allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd, zdr,
       sealed_template, answer_schema, truncated_from_characters, reasoning_effort, prompt_shield, inputs_in,
       shielded_calls, withheld_calls, providers, fallbacks, alternatives,
       supported_parameters, output_modalities, prompt_usd, completion_usd, request_usd,
       (SELECT price_tiers FROM models WHERE models.id = model_id) AS price_tiers, archived, allows_loss
FROM sale_state(interval '0')
WHERE version_id = :version_id;

-- name: listing(account_id)
-- A creator's resources, archived ones last.
-- types: row=VersionRow parameters=list[dict[str,object]] providers=dict[str,list[str]]|None alternatives?
-- types: price_tiers=list[dict[str,str|int]]
SELECT version_id, resource_id, account_id, handle, slug, number, title, description, modality, model_id, parameters,
       allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd, zdr,
       sealed_template, answer_schema, truncated_from_characters, reasoning_effort, prompt_shield, inputs_in,
       shielded_calls, withheld_calls, providers, fallbacks, alternatives,
       supported_parameters, output_modalities, prompt_usd, completion_usd, request_usd,
       (SELECT price_tiers FROM models WHERE models.id = model_id) AS price_tiers, archived, allows_loss
FROM sale_state(interval '0')
WHERE account_id = :account_id AND is_on_offer
ORDER BY archived, slug;

-- name: take(id, account_id, slug, daily_spend_cap_usd)^
-- Find or create the resource and lock it, so that concurrent publishers of one slug wait for each other.
-- Its cap is not part of a version, so a new cap needs no new version.
-- types: row!
INSERT INTO resources AS resource (id, account_id, slug, daily_spend_cap_usd)
VALUES (:id, :account_id, :slug, :daily_spend_cap_usd)
ON CONFLICT (account_id, slug) DO UPDATE SET daily_spend_cap_usd = excluded.daily_spend_cap_usd
RETURNING id, version_id, archived_at IS NOT NULL AS archived;

-- name: lock(account_id, slug)^
-- Lock a resource that there is, as `take` does.
SELECT id, version_id, archived_at IS NOT NULL AS archived
FROM resources WHERE account_id = :account_id AND slug = :slug FOR UPDATE;

-- name: add_version(id, resource_id, title, description, modality, model_id, sealed_template, parameters, allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd, zdr, answer_schema, truncated_from_characters, reasoning_effort, prompt_shield, inputs_in, providers, fallbacks, allows_loss)$
-- Numbers are consecutive because `take` holds the resource until this commits.
INSERT INTO resource_versions (
    id, resource_id, number, title, description, modality, model_id, sealed_template, parameters,
    allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd,
    zdr, answer_schema, truncated_from_characters, reasoning_effort, prompt_shield, inputs_in, providers, fallbacks,
    allows_loss
)
VALUES (
    :id, :resource_id,
    (SELECT coalesce(max(number), 0) + 1 FROM resource_versions WHERE resource_id = :resource_id),
    :title, :description, :modality, :model_id, :sealed_template, :parameters::jsonb,
    :allows_user_message, :max_output_tokens, :temperature, :timeout_seconds, :price_atomic, :worst_cost_usd,
    :zdr, CAST(:answer_schema AS json), :truncated_from_characters, :reasoning_effort,
    :prompt_shield, :inputs_in,
    CAST(:providers AS jsonb), :fallbacks, :allows_loss
)
RETURNING number;

-- name: offer(id, version_id)!
-- Make this version the one that buyers get.
UPDATE resources SET version_id = :version_id WHERE id = :id;

-- name: archive(account_id, slug)!
-- Take the resource off sale; its slug stays taken. A repetition keeps the first date.
UPDATE resources SET archived_at = coalesce(archived_at, now()) WHERE account_id = :account_id AND slug = :slug;

-- name: restore(account_id, slug)!
-- Put the resource on sale again with its last version.
UPDATE resources SET archived_at = NULL WHERE account_id = :account_id AND slug = :slug;

-- name: readiness(version_id, absence_tolerated)^
-- Everything that could stop a sale, in one query. It locks nothing: the claim decides again.
-- types: payouts=dict[str,str|None]
SELECT archived, key_id, sealed_key, key_obstacle, model_withdrawn, is_certain_loss, has_budget,
       resource_has_budget, has_room, payouts
FROM sale_state(CAST(:absence_tolerated AS interval))
WHERE version_id = :version_id;

-- name: key(account_id, provider)^
-- The sealed key for a paid call. A rejected key is tried all the same: the provider decides.
SELECT id, sealed_key, enabled FROM provider_keys WHERE account_id = :account_id AND provider = :provider;

-- name: leaving(account_id, absence_tolerated)
-- A creator's resources on models that are leaving.
-- types: slug! facts=dict[str,object] facts!
SELECT slug, facts FROM leaving_resources(CAST(:absence_tolerated AS interval))
WHERE account_id = CAST(:account_id AS uuid);
