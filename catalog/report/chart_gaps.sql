-- SPDX-License-Identifier: Apache-2.0
, bounds(n, label, from_s, to_s) AS (VALUES
	(0, 'to 1 h', 0, 3600), (1, '6 h', 3600, 21600), (2, '12 h', 21600, 43200), (3, '24 h', 43200, 86400),
	(4, '2 days', 86400, 172800), (5, '7 days', 172800, 604800), (6, 'more', 604800, 9223372036))
SELECT b.label, count(s.voltag)
FROM bounds b
LEFT JOIN spans s ON s.to_ns - s.frozen_ns > b.from_s * 1000000000 AND s.to_ns - s.frozen_ns <= b.to_s * 1000000000
GROUP BY b.n ORDER BY b.n
