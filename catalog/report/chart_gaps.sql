-- SPDX-License-Identifier: Apache-2.0
, bounds(n, label) AS (VALUES (0, 'to 1 h'), (1, '6 h'), (2, '12 h'), (3, '24 h'), (4, '2 days'), (5, '7 days'),
	(6, 'more')),
counts AS (
	SELECT CASE WHEN ns <= 3600000000000 THEN 0 WHEN ns <= 21600000000000 THEN 1 WHEN ns <= 43200000000000 THEN 2
	            WHEN ns <= 86400000000000 THEN 3 WHEN ns <= 172800000000000 THEN 4 WHEN ns <= 604800000000000 THEN 5
	            ELSE 6 END AS n, count(*) AS spans
	FROM (SELECT to_ns - frozen_ns AS ns FROM spans) WHERE ns > 0 GROUP BY 1)
SELECT b.label, coalesce(c.spans, 0) FROM bounds b LEFT JOIN counts c ON c.n = b.n ORDER BY b.n
