-- SPDX-License-Identifier: Apache-2.0
-- Stored by points that were there at the end of each day, GiB.
, moves AS (
	SELECT received_ns AS ns, bytes_stored AS bytes FROM pts
	UNION ALL SELECT min(coalesce(expired_ns, gone_at_ns), coalesce(gone_at_ns, expired_ns)), -bytes_stored
	FROM pts WHERE expired_ns <= :as_of OR gone_at_ns <= :as_of),
by_day AS (
	SELECT max(:from - :from % 86400000000000, ns - ns % 86400000000000) AS day_ns, sum(bytes) AS bytes
	FROM moves GROUP BY 1)
SELECT d.from_ns, sum(coalesce(b.bytes, 0)) OVER (ORDER BY d.from_ns) / 1073741824.0
FROM days d LEFT JOIN by_day b ON b.day_ns = d.from_ns
ORDER BY d.from_ns
