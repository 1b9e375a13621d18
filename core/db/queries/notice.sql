-- name: take_turns()!
-- Checks of the rules and additions of addresses run one after the other, so that limits are counted exactly.
SELECT pg_advisory_xact_lock(hashtext('x402-instant/notice'));

-- name: add_address(id, account_id, name, scheme, sealed_url, most)^
-- No row means that the limit of addresses is reached.
INSERT INTO notice_addresses (id, account_id, name, scheme, sealed_url)
SELECT :id, :account_id, :name, :scheme, :sealed_url
WHERE (SELECT count(*) FROM notice_addresses WHERE account_id IS NOT DISTINCT FROM :account_id) < :most
RETURNING id, name, scheme, created_at;

-- name: addresses(account_id)
-- Addresses of one creator, or of the operator. URLs are never shown.
SELECT id, name, scheme, created_at FROM notice_addresses
WHERE account_id IS NOT DISTINCT FROM :account_id
ORDER BY created_at;

-- name: remove_address(id, account_id)!
-- Only the owner can remove an address; deliveries to it keep its name in the log.
DELETE FROM notice_addresses WHERE id = :id AND account_id IS NOT DISTINCT FROM :account_id;

-- name: sealed_url(id)^
-- The sealed URL, for a trial message.
SELECT id, account_id, sealed_url FROM notice_addresses WHERE id = :id;

-- name: success_low(days, least_calls, least_share)
-- Resources on sale whose paid calls fail too often; declined calls do not count, because the fault is the buyer's.
-- types: row=Finding facts=dict[str,object]
SELECT resources.account_id, resources.id AS resource_id, jsonb_build_object(
        'days', :days::integer, 'calls', counted.calls, 'succeeded', counted.succeeded, 'causes', why.causes,
        'served_by', served_by(resources)
    ) AS facts
FROM (
    SELECT resource_versions.resource_id, sum(calls - declined)::bigint AS calls, sum(succeeded)::bigint AS succeeded
    FROM usage_rollup JOIN resource_versions ON resource_versions.id = usage_rollup.version_id
    WHERE span = 'day' AND kind = 'paid' AND starts_at > now() - make_interval(days => :days)
    GROUP BY resource_versions.resource_id
    HAVING sum(calls - declined) >= :least_calls AND sum(succeeded) < :least_share * sum(calls - declined)
) AS counted
JOIN resources ON resources.id = counted.resource_id
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(jsonb_build_object('detail', detail, 'fault', fault, 'calls', calls)), '[]') AS causes
    FROM (
        SELECT usage_log.detail, usage_log.fault, count(*) AS calls
        FROM usage_log JOIN resource_versions ON resource_versions.id = usage_log.version_id
        WHERE usage_log.account_id = resources.account_id AND resource_versions.resource_id = resources.id
            AND usage_log.kind = 'paid' AND usage_log.outcome = 'failed'
            AND usage_log.created_at > now() - make_interval(days => :days)
        GROUP BY usage_log.detail, usage_log.fault
        ORDER BY count(*) DESC, usage_log.detail
        LIMIT 3
    ) AS often
) AS why
WHERE resources.archived_at IS NULL;

-- name: failures_charged(days, least_failures, most_share)
-- Resources whose creator pays the provider for too many failed calls. Declined calls count as answered. The rollup
-- does not separate charges of declined calls, so it only selects resources whose log is then read.
-- types: row=Finding facts=dict[str,object]
SELECT resources.account_id, resources.id AS resource_id, jsonb_build_object(
        'days', :days::integer, 'failed', counted.failed, 'charged', why.charged, 'spent_usd', why.spent_usd::text,
        'causes', why.causes, 'served_by', served_by(resources)
    ) AS facts
FROM (
    SELECT resource_versions.resource_id, sum(failed)::bigint AS failed
    FROM usage_rollup JOIN resource_versions ON resource_versions.id = usage_rollup.version_id
    WHERE span = 'day' AND starts_at > now() - make_interval(days => :days)
    GROUP BY resource_versions.resource_id
    HAVING sum(failed) >= :least_failures AND sum(charged) > :most_share * sum(failed)
) AS counted
JOIN resources ON resources.id = counted.resource_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(calls), 0)::bigint AS charged, coalesce(sum(spent_usd), 0) AS spent_usd,
        coalesce(jsonb_agg(jsonb_build_object('detail', detail, 'fault', fault, 'calls', calls) ORDER BY calls DESC)
            FILTER (WHERE place <= 3), '[]') AS causes
    FROM (
        SELECT usage_log.detail, usage_log.fault, count(*) AS calls, sum(usage_log.spent_usd) AS spent_usd,
            row_number() OVER (ORDER BY count(*) DESC, usage_log.detail) AS place
        FROM usage_log JOIN resource_versions ON resource_versions.id = usage_log.version_id
        WHERE usage_log.account_id = resources.account_id AND resource_versions.resource_id = resources.id
            AND usage_log.outcome = 'failed' AND usage_log.charged
            AND usage_log.created_at > now() - make_interval(days => :days)
        GROUP BY usage_log.detail, usage_log.fault
    ) AS often
) AS why
WHERE resources.archived_at IS NULL AND why.charged > :most_share * counted.failed;

-- name: cost_unusual(history_days, least_calls, least_days, far)
-- Yesterday (UTC) a call cost more than on any earlier day, and far more than the median day of this resource.
-- types: row=Finding facts=dict[str,object]
WITH bounds AS (
    SELECT date_trunc('day', now(), 'UTC') AS today, date_trunc('day', now(), 'UTC') - interval '24 hours' AS yesterday
), days AS (
    SELECT resource_versions.resource_id, starts_at = yesterday AS is_last, sum(calls)::bigint AS calls,
        sum(spent_usd) / sum(calls) AS cost
    FROM bounds, usage_rollup JOIN resource_versions ON resource_versions.id = usage_rollup.version_id
    WHERE span = 'day' AND starts_at < today AND starts_at >= yesterday - make_interval(hours => 24 * :history_days)
    GROUP BY resource_versions.resource_id, starts_at, yesterday
), judged AS (
    SELECT resource_id, max(calls) FILTER (WHERE is_last) AS calls, max(cost) FILTER (WHERE is_last) AS cost,
        count(*) FILTER (WHERE NOT is_last) AS days, max(cost) FILTER (WHERE NOT is_last) AS most,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY cost) FILTER (WHERE NOT is_last) AS usual
    FROM days
    GROUP BY resource_id
)
SELECT resources.account_id, resources.id AS resource_id, jsonb_build_object(
        'calls', judged.calls, 'days', judged.days, 'cost_usd', judged.cost::text, 'usual_usd', judged.usual::text,
        'most_usd', judged.most::text
    ) AS facts
FROM judged JOIN resources ON resources.id = judged.resource_id
WHERE judged.calls >= :least_calls AND judged.days >= :least_days AND judged.cost > :far * judged.usual
    AND judged.cost > judged.most;

-- name: calls_unusual(history_days, least_days, least_calls, far)
-- Yesterday (UTC) a creator's key made far more calls than on any earlier day, or far fewer. Days without calls count.
-- types: row=Finding facts=dict[str,object]
WITH bounds AS (
    SELECT date_trunc('day', now(), 'UTC') AS today, date_trunc('day', now(), 'UTC') - interval '24 hours' AS yesterday
), counted AS (
    SELECT account_id, starts_at, sum(calls)::bigint AS calls
    FROM bounds, usage_rollup
    WHERE span = 'day' AND starts_at < today AND starts_at >= yesterday - make_interval(hours => 24 * :history_days)
    GROUP BY account_id, starts_at
), days AS (
    SELECT first.account_id, ago = 0 AS is_last, coalesce(counted.calls, 0) AS calls
    FROM bounds
    CROSS JOIN (SELECT account_id, min(starts_at) AS since FROM counted GROUP BY account_id) AS first
    CROSS JOIN LATERAL generate_series(0, (extract(epoch FROM yesterday - first.since) / 86400)::integer) AS ago
    LEFT JOIN counted
        ON counted.account_id = first.account_id AND counted.starts_at = yesterday - make_interval(hours => 24 * ago)
), judged AS (
    SELECT account_id, max(calls) FILTER (WHERE is_last) AS calls, count(*) FILTER (WHERE NOT is_last) AS days,
        max(calls) FILTER (WHERE NOT is_last) AS most, min(calls) FILTER (WHERE NOT is_last) AS least,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY calls) FILTER (WHERE NOT is_last) AS usual
    FROM days
    GROUP BY account_id
)
SELECT account_id, NULL::uuid AS resource_id, jsonb_build_object(
        'calls', calls, 'days', days, 'usual', usual, 'most', most, 'least', least
    ) AS facts
FROM judged
WHERE days >= :least_days AND (
    (calls >= :least_calls AND calls > :far * usual AND calls > most)
    OR (usual >= :least_calls AND calls * :far < usual AND calls < least)
);

-- name: key_failing(least_calls)
-- Keys that the provider rejects, or whose calls it refuses; only of creators who have something on sale.
-- types: row=Finding facts=dict[str,object]
SELECT keys.account_id, NULL::uuid AS resource_id, jsonb_build_object(
        'provider', keys.provider, 'rejected_at', keys.rejected_at, 'calls', refused.calls, 'causes', refused.causes
    ) AS facts
FROM provider_keys AS keys
CROSS JOIN LATERAL (
    SELECT coalesce(sum(calls), 0)::bigint AS calls,
        coalesce(jsonb_agg(jsonb_build_object('detail', detail, 'fault', fault, 'calls', calls) ORDER BY calls DESC),
            '[]') AS causes
    FROM (
        SELECT detail, fault, count(*) AS calls FROM usage_log
        WHERE account_id = keys.account_id AND created_at > now() - interval '24 hours' AND created_at > keys.created_at
            AND model_id IN (SELECT id FROM models WHERE served_by = keys.provider)
            AND fault = 'creator' AND detail ~ '^provider_40[13]' AND detail !~ '_(key_limit|budget)$'
        GROUP BY detail, fault
    ) AS often
) AS refused
WHERE (keys.rejected_at IS NOT NULL OR keys.expires_at <= now() OR refused.calls >= :least_calls) AND is_sold_on(keys);

-- name: key_low(calls_left)
-- Keys whose own limit covers only a few more calls, at the worst case of the dearest prompt, or whose calls are
-- refused for lack of credit.
-- types: row=Finding facts=dict[str,object]
SELECT keys.account_id, NULL::uuid AS resource_id, jsonb_build_object(
        'provider', keys.provider, 'remaining_usd', keys.limit_remaining_usd::text, 'dearest_usd', on_sale.dearest_usd::text,
        'calls', refused.calls, 'causes', refused.causes
    ) AS facts
FROM provider_keys AS keys
CROSS JOIN LATERAL (
    SELECT max(coalesce(repriced.worst_cost_usd, resource_versions.worst_cost_usd)) AS dearest_usd
    FROM resources JOIN resource_versions ON resource_versions.id = resources.version_id
    JOIN models ON models.id = resource_versions.model_id AND models.served_by = keys.provider
    LEFT JOIN repriced_versions AS repriced ON repriced.version_id = resource_versions.id
    WHERE resources.account_id = keys.account_id AND resources.archived_at IS NULL
) AS on_sale
CROSS JOIN LATERAL (
    SELECT coalesce(sum(calls), 0)::bigint AS calls,
        coalesce(jsonb_agg(jsonb_build_object('detail', detail, 'fault', fault, 'calls', calls) ORDER BY calls DESC),
            '[]') AS causes
    FROM (
        SELECT detail, fault, count(*) AS calls FROM usage_log
        WHERE account_id = keys.account_id AND created_at > now() - interval '24 hours' AND created_at > keys.created_at
            AND model_id IN (SELECT id FROM models WHERE served_by = keys.provider)
            AND fault = 'creator' AND detail ~ '^provider_(402|403_key_limit$|403_budget$)'
        GROUP BY detail, fault
    ) AS often
) AS refused
WHERE keys.rejected_at IS NULL AND on_sale.dearest_usd IS NOT NULL
    AND (keys.limit_remaining_usd < :calls_left * on_sale.dearest_usd OR refused.calls > 0);

-- name: key_old(days)
-- Keys that are sold on and were set so many days ago.
-- types: row=Finding facts=dict[str,object]
SELECT keys.account_id, NULL::uuid AS resource_id, jsonb_build_object(
        'provider', keys.provider, 'label', keys.label, 'days', :days::integer, 'set_at', keys.created_at
    ) AS facts
FROM provider_keys AS keys
WHERE keys.created_at < now() - make_interval(days => :days) AND keys.rejected_at IS NULL AND is_sold_on(keys);

-- name: refunds_repeated(days, least_refunds)
-- Resources of which one wallet has had many refunds; the facts name the wallet with the most.
-- types: row=Finding facts=dict[str,object]
SELECT account_id, resource_id, jsonb_build_object(
        'days', :days::integer, 'payer', payer, 'refunds', refunds, 'amount_atomic', amount_atomic, 'wallets', wallets,
        'causes', causes
    ) AS facts
FROM (
    SELECT account_id, resource_id, payer, sum(times)::bigint AS refunds, sum(amount_atomic)::bigint AS amount_atomic,
        jsonb_agg(jsonb_build_object('detail', reason, 'fault', fault, 'calls', times) ORDER BY times DESC) AS causes,
        count(*) OVER (PARTITION BY resource_id) AS wallets,
        row_number() OVER (PARTITION BY resource_id ORDER BY sum(times) DESC, payer) AS place
    FROM (
        SELECT refunds.account_id, resource_versions.resource_id, payments.payer, refunds.reason, executions.fault,
            count(*) AS times, sum(refunds.amount_atomic) AS amount_atomic
        FROM refunds
        JOIN payments ON payments.id = refunds.payment_id
        JOIN executions ON executions.id = refunds.execution_id
        JOIN resource_versions ON resource_versions.id = executions.version_id
        WHERE refunds.due_at > now() - make_interval(days => :days)
        GROUP BY refunds.account_id, resource_versions.resource_id, payments.payer, refunds.reason, executions.fault
    ) AS by_cause
    GROUP BY account_id, resource_id, payer
    HAVING sum(times) >= :least_refunds
) AS by_wallet
WHERE place = 1;

-- name: chain_differs()
-- Networks with payments that the chain does not show as their facilitator told. The operator is told again when one of
-- them is paused.
-- types: row=Finding facts=dict[str,object]
SELECT NULL::uuid AS account_id, NULL::uuid AS resource_id, jsonb_build_object(
        'network', network, 'payments', count_differing(network), 'paused', is_paused(network)
    ) AS facts
FROM (
    SELECT DISTINCT network FROM payments WHERE verification IN ('transfer_missing', 'transfer_differs')
) AS told
WHERE count_differing(network) > 0;

-- name: model_leaving(absence_tolerated)
-- Resources on models that end, were lost, renamed or withdrawn, or make every call a loss.
-- types: row=Finding facts=dict[str,object] facts!
SELECT account_id, resource_id, facts FROM leaving_resources(CAST(:absence_tolerated AS interval));

-- name: prompt_leaking(days, least_overlaps)
-- Resources whose answers gave their template away: our canary once, or a long part of it some times.
-- types: row=Finding facts=dict[str,object]
SELECT resources.account_id, resources.id AS resource_id, jsonb_build_object(
        'days', :days::integer, 'canaries', counted.canaries, 'overlaps', counted.overlaps, 'withheld', counted.withheld,
        'shield', current.prompt_shield
    ) AS facts
FROM (
    SELECT resource_versions.resource_id,
        count(*) FILTER (WHERE usage_log.leak = 'canary' OR usage_log.detail = 'withheld_canary') AS canaries,
        count(*) FILTER (WHERE usage_log.leak = 'overlap' OR usage_log.detail = 'withheld_overlap') AS overlaps,
        count(*) FILTER (WHERE usage_log.leak IS NULL) AS withheld
    FROM usage_log JOIN resource_versions ON resource_versions.id = usage_log.version_id
    WHERE usage_log.kind = 'paid' AND usage_log.created_at > now() - make_interval(days => :days)
        AND (usage_log.leak IS NOT NULL OR usage_log.detail IN ('withheld_canary', 'withheld_overlap'))
    GROUP BY resource_versions.resource_id
) AS counted
JOIN resources ON resources.id = counted.resource_id
JOIN resource_versions AS current ON current.id = resources.version_id
WHERE resources.archived_at IS NULL AND (counted.canaries > 0 OR counted.overlaps >= :least_overlaps);

-- name: payout_changing(days)
-- Payout addresses that change, or that were added later than their account. Whoever did not do it can still cancel.
-- types: row=Finding facts=dict[str,object]
SELECT payout.account_id, NULL::uuid AS resource_id, jsonb_build_object(
        'network', payout.network, 'address', coalesce(payout.next_address, payout.address),
        'until', coalesce(payout.next_from, payout.created_at), 'replaces', payout.next_address IS NOT NULL
    ) AS facts
FROM payout_addresses AS payout
JOIN accounts ON accounts.id = payout.account_id
WHERE coalesce(payout.next_from, payout.created_at) > now() - make_interval(days => :days)
    AND (payout.next_from IS NOT NULL OR payout.created_at > accounts.created_at);

-- name: cap_reached(near_share)
-- Caps of accounts and resources of which this day or month (UTC) has used most, or so much that not even the cheapest call
-- on sale fits any more. Once for each share and period.
-- types: row=Finding facts=dict[str,object]
WITH bounds AS (
    SELECT CAST(now() AT TIME ZONE 'UTC' AS date) AS today,
        CAST(date_trunc('month', now() AT TIME ZONE 'UTC') AS date) AS month,
        CAST(date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month' AS date) AS next_month
), on_sale AS (
    SELECT resource.account_id, resource.id AS resource_id,
        coalesce(repriced.worst_cost_usd, version.worst_cost_usd) AS worst_cost_usd
    FROM resources AS resource
    JOIN resource_versions AS version ON version.id = resource.version_id
    LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
    WHERE resource.archived_at IS NULL
), used AS (
    SELECT account.id AS account_id, CAST(NULL AS uuid) AS resource_id, cap.*, next_call.usd AS next_usd
    FROM bounds
    CROSS JOIN accounts AS account
    CROSS JOIN LATERAL (
        SELECT min(worst_cost_usd) AS usd FROM on_sale WHERE on_sale.account_id = account.id
    ) AS next_call
    CROSS JOIN LATERAL (VALUES
        ('day', daily_cap(account), spent_in(account, today, today + 1), today + 1),
        ('month', account.monthly_spend_cap_usd,
            CASE WHEN account.monthly_spend_cap_usd > 0 THEN spent_in(account, month, next_month) END, next_month)
    ) AS cap (period, cap_usd, used_usd, until)
    WHERE account.closed_at IS NULL
    UNION ALL
    SELECT resource.account_id, resource.id, cap.*, on_sale.worst_cost_usd
    FROM bounds
    CROSS JOIN resources AS resource
    JOIN on_sale ON on_sale.resource_id = resource.id
    CROSS JOIN LATERAL (VALUES
        ('day', resource.daily_spend_cap_usd, CASE WHEN resource.daily_spend_cap_usd > 0
            THEN spent_in(resource, today, today + 1) END, today + 1),
        ('month', resource.monthly_spend_cap_usd, CASE WHEN resource.monthly_spend_cap_usd > 0
            THEN spent_in(resource, month, next_month) END, next_month)
    ) AS cap (period, cap_usd, used_usd, until)
), judged AS (
    SELECT *, CASE
            WHEN used_usd + coalesce(next_usd, 0) > cap_usd OR used_usd >= cap_usd THEN 100
            WHEN used_usd >= :near_share * cap_usd THEN 80
        END AS percent
    FROM used
    WHERE cap_usd > 0 AND used_usd > 0
)
SELECT account_id, resource_id, jsonb_build_object(
        'cause', period || '_' || percent, 'period', period, 'percent', percent, 'cap_usd', CAST(cap_usd AS text),
        'used_usd', CAST(used_usd AS text), 'until', until
    ) AS facts
FROM judged WHERE percent IS NOT NULL;

-- name: call_too_dear()
-- Resources that are off sale because a call can cost more than a cap of one call allows, as after a sync of prices.
-- types: row=Finding facts=dict[str,object]
SELECT resource.account_id, resource.id AS resource_id, jsonb_build_object(
        'worst_cost_usd', CAST(cost.usd AS text),
        'cap_usd', CAST(least(account.most_per_call_usd, resource.most_per_call_usd) AS text)
    ) AS facts
FROM resources AS resource
JOIN accounts AS account ON account.id = resource.account_id
JOIN resource_versions AS version ON version.id = resource.version_id
LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
CROSS JOIN LATERAL (SELECT coalesce(repriced.worst_cost_usd, version.worst_cost_usd) AS usd) AS cost
WHERE resource.archived_at IS NULL AND cost.usd > least(account.most_per_call_usd, resource.most_per_call_usd);

-- name: refused_often(least_calls, most_share)
-- Resources of whose calls of this day (UTC) the provider answered too many with 429, also those that succeeded later.
-- types: row=Finding facts=dict[str,object]
SELECT account_id, resource_id, jsonb_build_object(
        'calls', calls, 'refused', refused, 'until', CAST(now() AT TIME ZONE 'UTC' AS date) + 1
    ) AS facts
FROM (
    SELECT resource.account_id, resource.id AS resource_id, count(*) AS calls,
        count(*) FILTER (WHERE starts_with(log.detail, 'provider_429') OR EXISTS (
            SELECT FROM sends
            WHERE sends.execution_id = log.execution_id AND sends.round = log.round
                AND starts_with(sends.outcome, 'provider_429')
        )) AS refused
    FROM usage_log AS log
    JOIN resource_versions AS version ON version.id = log.version_id
    JOIN resources AS resource ON resource.id = version.resource_id
    WHERE log.created_at >= date_trunc('day', now(), 'UTC')
    GROUP BY resource.account_id, resource.id
) AS counted
WHERE calls >= :least_calls AND refused > CAST(:most_share AS numeric) * calls;

-- name: spend_unusual(history_days, least_days, least_calls, far)
-- Accounts that spent far more on models this day (UTC) than on the median day with spending before it.
-- types: row=Finding facts=dict[str,object]
WITH bounds AS (SELECT CAST(now() AT TIME ZONE 'UTC' AS date) AS today), judged AS (
    SELECT spend.account_id, max(spent_usd) FILTER (WHERE day = today) AS spent_usd,
        count(*) FILTER (WHERE day < today) AS days,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY spent_usd) FILTER (WHERE day < today) AS usual_usd
    FROM bounds, spend_days AS spend
    WHERE day > today - CAST(:history_days AS integer) - 1 AND day <= today AND spent_usd > 0
    GROUP BY spend.account_id
)
SELECT judged.account_id, CAST(NULL AS uuid) AS resource_id, jsonb_build_object(
        'spent_usd', CAST(spent_usd AS text), 'usual_usd', CAST(usual_usd AS text), 'days', days, 'until', today + 1
    ) AS facts
FROM judged, bounds
WHERE days >= :least_days AND spent_usd > :far * usual_usd AND :least_calls <= (
    SELECT count(*) FROM usage_log
    WHERE usage_log.account_id = judged.account_id AND created_at >= date_trunc('day', now(), 'UTC')
);

-- name: payer_unusual(least_calls, least_others, far)
-- Wallets that bought far more calls of a creator this day (UTC) than the others did on average.
-- types: row=Finding facts=dict[str,object]
SELECT account_id, CAST(NULL AS uuid) AS resource_id, jsonb_build_object(
        'cause', payer, 'payer', payer, 'calls', calls, 'others', others, 'mean', CAST(round(mean, 1) AS text),
        'until', CAST(now() AT TIME ZONE 'UTC' AS date) + 1
    ) AS facts
FROM (
    SELECT account_id, payer, calls, count(*) OVER of_account - 1 AS others,
        (sum(calls) OVER of_account - calls) / nullif(count(*) OVER of_account - 1, 0) AS mean
    FROM (
        SELECT log.account_id, payments.payer, count(*) AS calls
        FROM usage_log AS log
        JOIN executions ON executions.id = log.execution_id
        JOIN payments ON payments.id = executions.payment_id
        WHERE log.created_at >= date_trunc('day', now(), 'UTC') AND log.kind = 'paid' AND log.round = 1
        GROUP BY log.account_id, payments.payer
    ) AS bought
    WINDOW of_account AS (PARTITION BY account_id)
) AS compared
WHERE calls >= :least_calls AND others >= :least_others AND calls > :far * mean;

-- name: sold_below_cost(days, least_calls)
-- Resources on sale whose paid calls cost more than they brought in, unless their creator agreed to a loss.
-- types: row=Finding facts=dict[str,object]
SELECT resource.account_id, resource.id AS resource_id, jsonb_build_object(
        'days', CAST(:days AS integer), 'calls', counted.calls, 'spent_usd', CAST(counted.spent_usd AS text),
        'revenue_atomic', counted.revenue_atomic
    ) AS facts
FROM (
    SELECT version.resource_id, CAST(sum(calls) AS bigint) AS calls, sum(spent_usd) AS spent_usd,
        CAST(sum(revenue_atomic) AS bigint) AS revenue_atomic
    FROM usage_rollup JOIN resource_versions AS version ON version.id = usage_rollup.version_id
    WHERE span = 'day' AND kind = 'paid' AND starts_at > now() - make_interval(days => :days)
    GROUP BY version.resource_id
) AS counted
JOIN resources AS resource ON resource.id = counted.resource_id
JOIN resource_versions AS current ON current.id = resource.version_id
WHERE resource.archived_at IS NULL AND current.allows_loss IS NOT TRUE AND counted.calls >= :least_calls
    AND counted.spent_usd * 1000000 > counted.revenue_atomic;

-- name: weekly_digest()
-- The week before this one (from Monday, UTC) of each account that had calls in it, wants a digest and had none of it.
-- types: row=Finding facts=dict[str,object]
WITH week AS (
    SELECT date_trunc('week', now(), 'UTC') - interval '7 days' AS first, date_trunc('week', now(), 'UTC') AS next
)
SELECT account.id AS account_id, CAST(NULL AS uuid) AS resource_id, jsonb_build_object(
        'since', CAST(first AT TIME ZONE 'UTC' AS date), 'until', CAST(next AT TIME ZONE 'UTC' AS date),
        'calls', counted.calls, 'succeeded', counted.succeeded, 'declined', counted.declined, 'failed', counted.failed,
        'revenue_atomic', counted.revenue_atomic, 'cost_usd', CAST(counted.cost_usd AS text),
        'spent_usd', CAST(counted.spent_usd AS text), 'causes', why.causes
    ) AS facts
FROM week
CROSS JOIN accounts AS account
CROSS JOIN LATERAL (
    SELECT CAST(sum(calls) AS bigint) AS calls, CAST(sum(succeeded) AS bigint) AS succeeded,
        CAST(sum(declined) AS bigint) AS declined, CAST(sum(failed) AS bigint) AS failed,
        CAST(sum(revenue_atomic) AS bigint) AS revenue_atomic, sum(cost_usd) AS cost_usd, sum(spent_usd) AS spent_usd
    FROM usage_rollup
    WHERE usage_rollup.account_id = account.id AND span = 'day' AND kind = 'paid' AND starts_at >= first
        AND starts_at < next
) AS counted
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(jsonb_build_object('detail', detail, 'fault', fault, 'calls', calls)), '[]') AS causes
    FROM (
        SELECT detail, fault, count(*) AS calls FROM usage_log
        WHERE usage_log.account_id = account.id AND kind = 'paid' AND outcome = 'failed' AND created_at >= first
            AND created_at < next
        GROUP BY detail, fault ORDER BY count(*) DESC, detail LIMIT 3
    ) AS often
) AS why
WHERE account.weekly_digest AND account.closed_at IS NULL AND counted.calls > 0 AND NOT EXISTS (
    SELECT FROM notices
    WHERE notices.account_id = account.id AND notices.rule = 'weekly_digest'
        AND notices.facts ->> 'until' = CAST(CAST(next AT TIME ZONE 'UTC' AS date) AS text)
);

-- name: refunds_unpaid(overdue_days)
-- Creators who owe refunds that their wallet could not pay at its last try, or that have been due for so many days.
-- types: row=Finding facts=dict[str,object]
SELECT due.account_id, CAST(NULL AS uuid) AS resource_id, jsonb_build_object(
        'cause', coalesce(wallet.trouble, 'overdue'), 'address', wallet.address, 'refunds', due.refunds,
        'amount_atomic', due.amount_atomic, 'days', due.days
    ) AS facts
FROM (
    SELECT account_id, count(*) AS refunds, CAST(sum(amount_atomic) AS bigint) AS amount_atomic,
        CAST(extract(epoch FROM now() - min(due_at)) / 86400 AS integer) AS days
    FROM refunds WHERE state = 'due' GROUP BY account_id
) AS due
LEFT JOIN refund_wallets AS wallet ON wallet.account_id = due.account_id AND wallet.enabled
WHERE wallet.trouble IS NOT NULL OR due.days >= CAST(:overdue_days AS integer);

-- name: webhook_disabled()
-- Webhooks that took nothing for so long that nothing is sent there any more.
-- types: row=Finding facts=dict[str,object]
SELECT account_id, NULL::uuid AS resource_id, jsonb_build_object('name', name, 'set_at', disabled_at) AS facts
FROM webhooks WHERE disabled_at IS NOT NULL;

-- name: listing_differs()
-- Products of which lists and the live offer said different things at the last look.
-- types: row=Finding facts=dict[str,object] facts!
SELECT resources.account_id, resources.id AS resource_id, resources.listing_difference AS facts
FROM resources
WHERE resources.listing_difference IS NOT NULL AND resources.archived_at IS NULL;

-- name: record(rule, subjects, pause_days)
-- Record each subject at most once in so many days; for key rules, each provider's key. What has a date is told once
-- for each date, and an old key once. Runs under `take_turns`.
INSERT INTO notices (id, rule, account_id, resource_id, facts)
SELECT gen_random_uuid(), :rule, found.account_id, found.resource_id, found.facts
FROM jsonb_to_recordset(:subjects::jsonb) AS found (account_id uuid, resource_id uuid, facts jsonb)
WHERE NOT EXISTS (
    SELECT 1 FROM notices
    WHERE notices.account_id IS NOT DISTINCT FROM found.account_id AND notices.rule = :rule
        AND notices.resource_id IS NOT DISTINCT FROM found.resource_id
        AND coalesce(notices.facts ->> 'provider', 'openrouter') = coalesce(found.facts ->> 'provider', 'openrouter')
        AND notices.facts ->> 'network' IS NOT DISTINCT FROM found.facts ->> 'network'
        AND notices.facts ->> 'paused' IS NOT DISTINCT FROM found.facts ->> 'paused'
        AND notices.facts ->> 'model' IS NOT DISTINCT FROM found.facts ->> 'model'
        AND notices.facts ->> 'cause' IS NOT DISTINCT FROM found.facts ->> 'cause'
        AND notices.facts ->> 'until' IS NOT DISTINCT FROM found.facts ->> 'until'
        AND notices.facts ->> 'set_at' IS NOT DISTINCT FROM found.facts ->> 'set_at'
        AND (found.facts ->> 'until' IS NOT NULL OR found.facts ->> 'set_at' IS NOT NULL
            OR notices.found_at > now() - make_interval(days => :pause_days))
)
RETURNING id;

-- name: address_all(notice_ids)!
-- Deliver every notice but digests to the operator, and a creator's own notices to that creator too.
INSERT INTO notice_deliveries (notice_id, address_id, to_operator, name)
SELECT notices.id, notice_addresses.id, notice_addresses.account_id IS NULL, notice_addresses.name
FROM notices
JOIN notice_addresses ON notice_addresses.account_id = notices.account_id
    OR (notice_addresses.account_id IS NULL AND notices.rule <> 'weekly_digest')
WHERE notices.id = ANY(:notice_ids);

-- name: claim(patience_seconds, most)
-- Claim notices for people that wait, or whose sender process never reported back. The try is counted before it is made.
-- types: row=Delivery facts=dict[str,object]
WITH claimed AS (
    UPDATE notice_deliveries SET state = 'sending', tries = tries + 1, tried_at = now()
    WHERE id IN (
        SELECT id FROM notice_deliveries
        WHERE event IS NULL AND state IN ('waiting', 'sending')
            AND (tried_at IS NULL OR tried_at < now() - make_interval(secs => :patience_seconds))
        ORDER BY tried_at NULLS FIRST, id
        LIMIT :most
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id, notice_id, address_id, tries
)
SELECT claimed.id, claimed.tries, claimed.address_id, notice_addresses.account_id AS owner_id,
    notice_addresses.sealed_url, notices.rule, notices.facts, notices.found_at, accounts.handle, resources.slug
FROM claimed
JOIN notices ON notices.id = claimed.notice_id
LEFT JOIN accounts ON accounts.id = notices.account_id
LEFT JOIN resources ON resources.id = notices.resource_id
LEFT JOIN notice_addresses ON notice_addresses.id = claimed.address_id
ORDER BY claimed.id;

-- name: end_delivery(id, state, reason)!
-- Record how a delivery ended, or that it waits for another try.
UPDATE notice_deliveries SET state = :state, reason = :reason WHERE id = :id AND state = 'sending';

-- name: listing(account_id, most)
-- The latest notices, of one creator or of all, with their deliveries. A creator sees only deliveries to themselves.
-- types: row=Notice facts=dict[str,object] deliveries=list[dict[str,object]]
SELECT notices.id, notices.found_at, notices.rule, accounts.handle, resources.slug, notices.facts,
    coalesce(log.deliveries, '[]') AS deliveries
FROM notices
LEFT JOIN accounts ON accounts.id = notices.account_id
LEFT JOIN resources ON resources.id = notices.resource_id
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
            'name', name, 'to', CASE WHEN to_operator THEN 'operator' ELSE 'creator' END, 'state', state,
            'tries', tries, 'reason', reason, 'tried_at', tried_at
        ) ORDER BY id) AS deliveries
    FROM notice_deliveries
    WHERE notice_id = notices.id AND (:account_id::uuid IS NULL OR NOT to_operator)
) AS log ON true
WHERE :account_id::uuid IS NULL OR notices.account_id = :account_id
ORDER BY notices.found_at DESC, notices.id
LIMIT :most;
