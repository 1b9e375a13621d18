-- depends: 0009.costs
-- Histograms that end where what was measured ends, and have nothing where nothing was: the rollup takes a sixth of the
-- room, and is counted and added up sooner.

-- Others queue behind a lock that waits.
SET LOCAL lock_timeout = '30s';

-- Where the second bucket and all after it begin, in whole milliseconds, as times are logged: the first that is above
-- 2^(n/4), for n from 0. Looking a time up takes a third of what its logarithm takes, and only among fractions is it fast.
CREATE OR REPLACE FUNCTION histogram_bucket(ms integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 1 + width_bucket(ms::double precision, '{
        2, 2, 2, 2, 3, 3, 3, 4, 5, 5, 6, 7, 9, 10, 12, 14, 17, 20, 23, 27, 33, 39, 46, 54, 65, 77, 91, 108,
        129, 153, 182, 216, 257, 305, 363, 431, 513, 609, 725, 862, 1025, 1218, 1449, 1723, 2049, 2436, 2897,
        3445, 4097, 4871, 5793, 6889, 8193, 9742, 11586, 13778, 16385, 19484, 23171, 27555, 32769, 38968,
        46341, 55109, 65537, 77936, 92682, 110218, 131073, 155872, 185364, 220436, 262145, 311744, 370728,
        440872, 524289, 623488, 741456, 881744, 1048577, 1246975, 1482911, 1763488, 2097153, 2493949, 2965821,
        3526976, 4194305
    }'::double precision[])
$$;
COMMENT ON FUNCTION histogram_bucket IS 'Which of 90 buckets a time in milliseconds is in: each ends at 2^(1/4) times where it begins. The first holds up to 1 ms, the last all above 2^22 ms (70 minutes). NULL for NULL, which nobody measured.';

CREATE OR REPLACE FUNCTION histogram(buckets integer[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    counted integer[] := '{NULL}';
    bucket  integer;
BEGIN
    FOREACH bucket IN ARRAY array_remove(buckets, NULL) LOOP
        counted[bucket] := coalesce(counted[bucket], 0) + 1;
    END LOOP;
    RETURN counted;
END $$;
COMMENT ON FUNCTION histogram IS 'How many of these are in each bucket: the first in the first place, NULL where there are none, up to the highest that has some.';

CREATE OR REPLACE FUNCTION histogram_add(counted integer[], more integer[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    FOR bucket IN 1 .. array_length(more, 1) LOOP
        IF more[bucket] > 0 THEN
            counted[bucket] := coalesce(counted[bucket], 0) + more[bucket];
        END IF;
    END LOOP;
    RETURN counted;
END $$;

-- What was counted before, in the same form.
UPDATE usage_rollup
SET settle = histogram_add('{NULL}', settle), queue = histogram_add('{NULL}', queue),
    upstream = histogram_add('{NULL}', upstream), total = histogram_add('{NULL}', total);
COMMENT ON COLUMN usage_rollup.settle IS 'This and the next three: how long it took in milliseconds, as a histogram (see histogram() and histogram_bucket()): to settle the payment, from queued to sent, at the provider, and in total (see usage_log). Read them with histogram_percentile(histogram_sum(total), 0.95).';
