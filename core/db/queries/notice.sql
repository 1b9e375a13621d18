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

-- name: webhook_disabled()
-- Webhooks that took nothing for so long that nothing is sent there any more.
-- types: row=Finding facts=dict[str,object]
SELECT account_id, NULL::uuid AS resource_id, jsonb_build_object('name', name, 'set_at', disabled_at) AS facts
FROM webhooks WHERE disabled_at IS NOT NULL;

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
-- Deliver every notice to the operator, and a creator's own notices to that creator too.
INSERT INTO notice_deliveries (notice_id, address_id, to_operator, name)
SELECT notices.id, notice_addresses.id, notice_addresses.account_id IS NULL, notice_addresses.name
FROM notices
JOIN notice_addresses ON notice_addresses.account_id IS NULL OR notice_addresses.account_id = notices.account_id
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
