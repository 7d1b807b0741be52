-- SPDX-License-Identifier: Apache-2.0
SELECT v.volume, CASE WHEN s.closed THEN 'ended' ELSE 'open' END AS state, s.frozen_ns AS since, s.to_ns AS until,
       (s.to_ns - s.frozen_ns) / 1000000 AS length_ms,
       (s.to_ns - s.frozen_ns) / 1000000 - 1000 * coalesce(:target_s, 86400) AS over_ms
FROM spans s JOIN sel v ON v.voltag = s.voltag
WHERE s.to_ns - s.frozen_ns > coalesce(:target_s, 86400) * 1000000000
ORDER BY s.to_ns - s.frozen_ns DESC, v.volume, s.frozen_ns
