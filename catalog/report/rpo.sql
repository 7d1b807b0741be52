-- SPDX-License-Identifier: Apache-2.0
, worst AS (
	SELECT voltag, count(*) AS spans, max(to_ns - frozen_ns) AS worst_ns, to_ns AS worst_at,
	       sum(to_ns - from_ns) AS covered_ns,
	       sum(max(0, to_ns - max(from_ns, frozen_ns + :target_s * 1000000000))) AS late_ns
	FROM spans GROUP BY voltag)
SELECT n.volume,
       CASE WHEN n.session IS NULL THEN 'no point' WHEN :target_s IS NULL THEN 'no target'
            WHEN w.worst_ns > :target_s * 1000000000 OR :as_of - n.frozen_ns > :target_s * 1000000000 THEN 'missed'
            ELSE 'met' END AS state,
       n.frozen_ns AS newest, (:as_of - n.frozen_ns) / 1000000 AS age_ms,
       w.worst_ns / 1000000 AS worst_ms, w.worst_at, w.late_ns / 1000000 AS late_ms,
       CASE WHEN w.late_ns IS NOT NULL
            THEN printf('%.2f', 100.0 * (w.covered_ns - w.late_ns) / w.covered_ns) END AS met_percent,
       (:as_of - g.frozen_ns) / 1000000 AS geo_age_ms, (:as_of - v.frozen_ns) / 1000000 AS verified_age_ms,
       1000 * :target_s AS target_ms, n.session
FROM newest n
JOIN geo g ON g.vol = n.vol
JOIN verified v ON v.vol = n.vol
LEFT JOIN worst w ON w.voltag = n.vol
ORDER BY coalesce(w.worst_ns, 9223372036854775807) DESC, n.volume, n.vol
