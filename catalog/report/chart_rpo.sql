-- SPDX-License-Identifier: Apache-2.0
-- The oldest that the newest point of any volume became, by day, in hours. Of all spans that begin in the same day and
-- end in the same day only two say something: the one of the oldest freeze time, until the end of each day
-- before that in which they end; and in that, the longest.
, groups AS MATERIALIZED (
	SELECT from_ns / 86400000000000 AS first, (to_ns - 1) / 86400000000000 AS last, min(frozen_ns) AS frozen_ns,
	       max(to_ns - frozen_ns) AS longest_ns
	FROM spans GROUP BY 1, 2)
SELECT d.from_ns, max(CASE WHEN g.last = d.from_ns / 86400000000000 THEN g.longest_ns
                      ELSE d.from_ns + 86400000000000 - g.frozen_ns END) / 3600000000000.0
FROM days d
LEFT JOIN groups g ON g.first <= d.from_ns / 86400000000000 AND g.last >= d.from_ns / 86400000000000
GROUP BY d.from_ns ORDER BY d.from_ns
