-- name: real_cost(account_id, slug, model_id)^
-- What the paid calls of a creator's resource on a model cost on average in the last 30 days, failures included.
-- types: row!
SELECT count(*) AS calls, avg(log.spent_usd) AS cost_usd
FROM usage_log AS log
JOIN resource_versions AS version ON version.id = log.version_id
JOIN resources AS resource ON resource.id = version.resource_id
WHERE log.account_id = :account_id AND resource.account_id = :account_id AND resource.slug = :slug
    AND log.model_id = :model_id AND log.kind = 'paid' AND log.created_at > now() - interval '30 days';

-- name: caps_below(resource_id, usd)
-- The caps of a resource and its account that are below a cost.
-- types: cap! usd!
SELECT cap.name AS cap, cap.usd
FROM resources AS resource
JOIN accounts AS account ON account.id = resource.account_id
CROSS JOIN LATERAL (VALUES
    ('account_call', account.most_per_call_usd), ('account_day', daily_cap(account)),
    ('account_month', account.monthly_spend_cap_usd), ('call', resource.most_per_call_usd),
    ('day', resource.daily_spend_cap_usd), ('month', resource.monthly_spend_cap_usd)
) AS cap (name, usd)
WHERE resource.id = :resource_id AND cap.usd < :usd
ORDER BY cap.usd;
