-- SPDX-License-Identifier: Apache-2.0
-- The oldest that the newest point of any volume became, by day, in hours.
SELECT d.from_ns, max(min(s.to_ns, d.from_ns + 86400000000000) - s.frozen_ns) / 3600000000000.0
FROM days d
LEFT JOIN spans s ON s.from_ns < d.from_ns + 86400000000000 AND s.to_ns > d.from_ns
GROUP BY d.from_ns ORDER BY d.from_ns
