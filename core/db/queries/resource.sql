-- name: resolve(handle, slug, absence_tolerated)^
-- The current version, and its readiness. All columns are named: a door that has prepared this goes on when a later
-- version adds one to sale_state.
-- types: parameters=list[dict[str,object]] providers=dict[str,list[str]]|None alternatives? payouts=dict[str,str|None]
-- types: price_tiers=list[dict[str,str|int]] example=dict[str,object]|None listed!
SELECT version_id, resource_id, account_id, handle, slug, number, title, description, modality, model_id,
       parameters, allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic,
       worst_cost_usd, zdr, sealed_template, answer_schema, truncated_from_characters, reasoning_effort,
       prompt_shield, inputs_in, shielded_calls, withheld_calls, providers, fallbacks, alternatives,
       supported_parameters, output_modalities, prompt_usd, completion_usd, request_usd, archived,
       allows_loss, tags, icon, example, offered_at, is_on_offer, key_id, sealed_key, key_obstacle,
       model_withdrawn, is_certain_loss, spend_obstacle, has_room, payouts, seen,
       (SELECT price_tiers FROM models WHERE models.id = model_id) AS price_tiers,
       (SELECT resource_versions.listed FROM resource_versions WHERE resource_versions.id = version_id) AS listed
FROM sale_state(CAST(:absence_tolerated AS interval))
WHERE handle = :handle AND slug = :slug AND is_on_offer;

-- name: seen(handle, slug, absence_tolerated)$
-- The hot path of every request: whether everything is as `resolve` read it. NULL: read it again.
SELECT seen FROM sale_state(CAST(:absence_tolerated AS interval))
WHERE handle = :handle AND slug = :slug AND is_on_offer;

-- name: versions(version_ids)
-- Any versions, also replaced or archived ones: a sold version stays readable for ever.
-- types: row=VersionRow parameters=list[dict[str,object]] providers=dict[str,list[str]]|None alternatives?
-- types: price_tiers=list[dict[str,str|int]] example=dict[str,object]|None listed!
SELECT version_id, resource_id, account_id, handle, slug, number, title, description, modality, model_id, parameters,
       allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd, zdr,
       sealed_template, answer_schema, truncated_from_characters, reasoning_effort, prompt_shield, inputs_in,
       shielded_calls, withheld_calls, providers, fallbacks, alternatives,
       supported_parameters, output_modalities, prompt_usd, completion_usd, request_usd,
       (SELECT price_tiers FROM models WHERE models.id = model_id) AS price_tiers, archived, allows_loss, tags, icon,
       example, offered_at,
       (SELECT resource_versions.listed FROM resource_versions WHERE resource_versions.id = version_id) AS listed
FROM sale_state(interval '0')
WHERE version_id = ANY(:version_ids);

-- name: listing(account_id)
-- A creator's resources, each as the version on offer, or as its draft if there is none; archived ones last.
-- types: row=VersionRow parameters=list[dict[str,object]] providers=dict[str,list[str]]|None alternatives?
-- types: price_tiers=list[dict[str,str|int]] example=dict[str,object]|None listed!
SELECT version_id, resource_id, account_id, handle, slug, number, title, description, modality, model_id, parameters,
       allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd, zdr,
       sealed_template, answer_schema, truncated_from_characters, reasoning_effort, prompt_shield, inputs_in,
       shielded_calls, withheld_calls, providers, fallbacks, alternatives,
       supported_parameters, output_modalities, prompt_usd, completion_usd, request_usd,
       (SELECT price_tiers FROM models WHERE models.id = model_id) AS price_tiers, archived, allows_loss, tags, icon,
       example, offered_at,
       (SELECT resource_versions.listed FROM resource_versions WHERE resource_versions.id = version_id) AS listed
FROM sale_state(interval '0')
WHERE account_id = :account_id AND version_id IN (
    SELECT coalesce(own.version_id, own.draft_id) FROM resources AS own WHERE own.account_id = :account_id
)
ORDER BY archived, slug;

-- name: caps(account_id)
-- The caps of a creator's resources, and what of them is spent or reserved today and this month (UTC).
-- types: row=CapsRow spent_today_usd! spent_this_month_usd!
SELECT slug, daily_spend_cap_usd, monthly_spend_cap_usd, most_per_call_usd,
    spent_in(resources, (now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date + 1) AS spent_today_usd,
    spent_in(
        resources, date_trunc('month', now() AT TIME ZONE 'UTC')::date,
        (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month')::date
    ) AS spent_this_month_usd
FROM resources WHERE account_id = :account_id;

-- name: take(id, account_id, slug, daily_spend_cap_usd, monthly_spend_cap_usd, most_per_call_usd)^
-- Find or create the resource and lock it, so that concurrent publishers of one slug wait for each other.
-- Its caps are not part of a version, so a new cap needs no new version.
-- types: row!
INSERT INTO resources AS resource (id, account_id, slug, daily_spend_cap_usd, monthly_spend_cap_usd, most_per_call_usd)
VALUES (:id, :account_id, :slug, :daily_spend_cap_usd, :monthly_spend_cap_usd, :most_per_call_usd)
ON CONFLICT (account_id, slug) DO UPDATE SET daily_spend_cap_usd = excluded.daily_spend_cap_usd,
    monthly_spend_cap_usd = excluded.monthly_spend_cap_usd, most_per_call_usd = excluded.most_per_call_usd
RETURNING id, version_id, archived_at IS NOT NULL AS archived;

-- name: create(id, account_id, slug, daily_spend_cap_usd, monthly_spend_cap_usd, most_per_call_usd)$
-- A new resource for a first draft; no row if its slug is taken.
-- types: id?
INSERT INTO resources (id, account_id, slug, daily_spend_cap_usd, monthly_spend_cap_usd, most_per_call_usd)
VALUES (:id, :account_id, :slug, :daily_spend_cap_usd, :monthly_spend_cap_usd, :most_per_call_usd)
ON CONFLICT (account_id, slug) DO NOTHING
RETURNING id;

-- name: lock(account_id, slug)^
-- Lock a resource that there is, as `take` does.
-- types: row=ResourceRow
SELECT id, slug, version_id, draft_id, revision, daily_spend_cap_usd, monthly_spend_cap_usd, most_per_call_usd,
    archived_at IS NOT NULL AS archived
FROM resources WHERE account_id = :account_id AND slug = :slug FOR UPDATE;

-- name: find(account_id, slug)^
-- The same without a lock.
-- types: row=ResourceRow
SELECT id, slug, version_id, draft_id, revision, daily_spend_cap_usd, monthly_spend_cap_usd, most_per_call_usd,
    archived_at IS NOT NULL AS archived
FROM resources WHERE account_id = :account_id AND slug = :slug;

-- name: keep_draft(id, draft_id, daily_spend_cap_usd, monthly_spend_cap_usd, most_per_call_usd)!
-- What its creator works on, and its caps, which are not part of a version.
UPDATE resources SET draft_id = :draft_id, daily_spend_cap_usd = :daily_spend_cap_usd,
    monthly_spend_cap_usd = :monthly_spend_cap_usd, most_per_call_usd = :most_per_call_usd
WHERE id = :id;

-- name: numbered(resource_id, number)$
-- The id of a version by its number.
-- types: id?
SELECT id FROM resource_versions WHERE resource_id = :resource_id AND number = :number;

-- name: history(resource_id)
-- The versions of a resource, newest first. The draft and what was never on offer have no `offered_at`.
SELECT id, number, created_at, offered_at, title, model_id, price_atomic
FROM resource_versions WHERE resource_id = :resource_id ORDER BY number DESC LIMIT 1000;

-- name: is_sold(account_id, resource_id)$
-- Whether anybody ever paid for it.
SELECT EXISTS (
    SELECT FROM executions JOIN resource_versions ON resource_versions.id = executions.version_id
    WHERE executions.account_id = :account_id AND resource_id = :resource_id AND kind = 'paid' AND state <> 'void'
) AS is_sold;

-- name: add_version(id, resource_id, title, description, modality, model_id, sealed_template, parameters, allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd, zdr, answer_schema, truncated_from_characters, reasoning_effort, prompt_shield, inputs_in, providers, fallbacks, allows_loss, tags, icon, example, listed)$
-- Numbers are consecutive because `take` holds the resource until this commits.
INSERT INTO resource_versions (
    id, resource_id, number, title, description, modality, model_id, sealed_template, parameters,
    allows_user_message, max_output_tokens, temperature, timeout_seconds, price_atomic, worst_cost_usd,
    zdr, answer_schema, truncated_from_characters, reasoning_effort, prompt_shield, inputs_in, providers, fallbacks,
    allows_loss, tags, icon, example, listed
)
VALUES (
    :id, :resource_id,
    (SELECT coalesce(max(number), 0) + 1 FROM resource_versions WHERE resource_id = :resource_id),
    :title, :description, :modality, :model_id, :sealed_template, :parameters::jsonb,
    :allows_user_message, :max_output_tokens, :temperature, :timeout_seconds, :price_atomic, :worst_cost_usd,
    :zdr, CAST(:answer_schema AS json), :truncated_from_characters, :reasoning_effort,
    :prompt_shield, :inputs_in,
    CAST(:providers AS jsonb), :fallbacks, :allows_loss, :tags, :icon, CAST(:example AS jsonb), :listed
)
RETURNING number;

-- name: offer(id, version_id, allows_loss)!
-- Make this version the one that buyers get. If it was the draft, there is none any more. To agree to a certain loss
-- changes nothing of what is sold.
WITH noted AS (
    UPDATE resource_versions
    SET offered_at = coalesce(offered_at, now()), allows_loss = coalesce(allows_loss, false) OR :allows_loss
    WHERE id = :version_id
)
UPDATE resources SET version_id = :version_id, draft_id = nullif(draft_id, :version_id) WHERE id = :id;

-- name: archive(account_id, slug)!
-- Take the resource off sale; its slug stays taken. A repetition keeps the first date.
UPDATE resources SET archived_at = coalesce(archived_at, now()) WHERE account_id = :account_id AND slug = :slug;

-- name: restore(account_id, slug)!
-- Put the resource on sale again with its last version; one that was never published stays a draft.
UPDATE resources SET archived_at = NULL WHERE account_id = :account_id AND slug = :slug;

-- name: readiness(version_id, absence_tolerated)^
-- Everything that could stop a sale, in one query. It locks nothing: the claim decides again.
-- types: payouts=dict[str,str|None]
SELECT archived, key_id, sealed_key, key_obstacle, model_withdrawn, is_certain_loss,
       spend_obstacle, has_room, payouts
FROM sale_state(CAST(:absence_tolerated AS interval))
WHERE version_id = :version_id;

-- name: keys(account_ids, providers)
-- The sealed keys of these accounts at these providers, for paid calls. A rejected key is tried all the same: the
-- provider decides.
SELECT account_id, provider, id, sealed_key, enabled
FROM unnest(:account_ids::uuid[], :providers::text[]) AS asked (account_id, provider)
JOIN provider_keys USING (account_id, provider);

-- name: leaving(account_id, absence_tolerated)
-- A creator's resources on models that are leaving.
-- types: slug! facts=dict[str,object] facts!
SELECT slug, facts FROM leaving_resources(CAST(:absence_tolerated AS interval))
WHERE account_id = CAST(:account_id AS uuid);
