-- SPDX-License-Identifier: Apache-2.0
-- Points a day that came.
, came AS (
	SELECT received_ns - received_ns % 86400000000000 AS day_ns, count(*) AS points FROM pts
	WHERE received_ns >= :from AND received_ns < :to GROUP BY 1)
SELECT d.from_ns, coalesce(c.points, 0) FROM days d LEFT JOIN came c ON c.day_ns = d.from_ns ORDER BY d.from_ns
